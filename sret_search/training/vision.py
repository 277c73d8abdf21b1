"""torchvision, importable even if its native code does not fit the installed torch.

torchvision's wheel is built for the CUDA build of torch. Beside a CPU-only torch its library does
not load, and its import fails on two undeclared operators of object detection. Data sets and
transforms need only their declared schemas.
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
