"""torchvision, importable also where its native code does not fit the installed torch.

torchvision's wheel is built against the CUDA build of torch. Beside a CPU-only torch its
library does not load, and the import then fails on two operators of object detection that are
not declared. Declaring their schemas is all that data sets and transforms need.
"""

from __future__ import annotations

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None


def _declare() -> None:
    global _library
    _library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        _library.define(schema)


try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    _declare()
    import torchvision

from torchvision.transforms import v2 as transforms  # noqa: E402

__all__ = ["torchvision", "transforms"]
