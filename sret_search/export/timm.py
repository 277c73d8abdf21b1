"""Named variants as models of timm, and `sret` for an exported model. They are registered on
import. It needs the extra `timm`.

Shapes: B images, C channels, S side of an image or of a grid of tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sret_search.architecture import Architecture
from sret_search.architecture.variants import VARIANTS
from sret_search.cost import MEMORY_BUDGET
from sret_search.export.extras import require_extra
from sret_search.model import SReT, load, positions_at
from sret_search.training import vision  # noqa: F401  before timm, which imports torchvision too

require_extra("timm")

from timm.models import (  # noqa: E402
    build_model_with_cfg,
    generate_default_cfgs,
    register_model,
)

__all__ = ["TimmSReT"]


class TimmSReT(SReT):
    """SReT with the methods and attributes that timm expects of a model.

    Args:
        architecture: the architecture. The other arguments replace its classes, channels, size and
            drop path.
        num_classes: outputs of the head; with 0 the model returns the head's inputs.
        in_chans: channels of the images.
        img_size: side of the images in pixels.
        drop_path_rate: rate of the last execution.
        global_pool: "avg"; or "" without classes, for the last tokens as an image (B, D, S, S).

    Raises:
        ArchitectureError: the slice groups do not divide the tokens of that size.
        ValueError: the images are not square.
    """

    def __init__(
        self,
        architecture: Architecture,
        num_classes: int | None = None,
        in_chans: int | None = None,
        img_size: int | Sequence[int] | None = None,
        drop_path_rate: float | None = None,
        global_pool: str = "avg",
    ) -> None:
        a = architecture
        classes = a.classes if num_classes is None else num_classes
        a = replace(
            a,
            classes=max(classes, 1),
            in_channels=a.in_channels if in_chans is None else in_chans,
            image_size=a.image_size if img_size is None else _side(img_size),
            drop_path=a.drop_path if drop_path_rate is None else drop_path_rate,
        )
        super().__init__(a)
        self.feature_info = [
            {"num_chs": s.width, "reduction": a.image_size // side, "module": f"stages.{i}"}
            for i, (s, side) in enumerate(zip(a.stages, a.sides, strict=True))
        ]
        self.num_features = self.head_hidden_size = a.stages[-1].width
        self.num_classes, self.global_pool = classes, global_pool
        if not classes:
            self.head = nn.Identity()

    def get_classifier(self) -> nn.Module:
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Set a new head for other classes, or none."""
        self.num_classes = num_classes
        self.global_pool = self.global_pool if global_pool is None else global_pool
        self.architecture = replace(self.architecture, classes=max(num_classes, 1))
        head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        self.head = head.to(self.positions_1DSS)

    def set_input_size(self, img_size: int | Sequence[int]) -> None:
        """Take images of another size, with positions interpolated.

        Raises:
            ArchitectureError: the slice groups do not divide the tokens of that size.
            ValueError: the images are not square.
        """
        self.architecture = replace(self.architecture, image_size=_side(img_size))
        side = self.architecture.sides[0]
        self.positions_1DSS = nn.Parameter(positions_at(self.positions_1DSS.detach(), side))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute all activations in training that can be recomputed."""
        self.memory_budget = 0 if enable else MEMORY_BUDGET

    def no_weight_decay(self) -> set[str]:
        return {"positions_1DSS"}

    def forward(self, images_BCSS: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images_BCSS))

    def forward_features(self, images_BCSS: Tensor) -> Tensor:
        """Tokens of the last stage as an image, (B, D, S, S)."""
        last_BDSS: Tensor
        (last_BDSS,) = self.forward_intermediates(images_BCSS, 1, intermediates_only=True)
        return last_BDSS

    def forward_head(self, x_BDSS: Tensor, pre_logits: bool = False) -> Tensor:
        """Class logits (B, classes), or with `pre_logits` the pooled tokens (B, D)."""
        if not self.global_pool:
            return x_BDSS
        x_BD: Tensor = self.norm(x_BDSS.mean((2, 3)))
        if not pre_logits:
            x_BD = self.head(x_BD)
        return x_BD

    def forward_intermediates(
        self,
        images_BCSS: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """Tokens of some stages as images.

        Args:
            indices: indices of the stages; a number takes that many of the last stages, None all.
            stop_early: do not run stages after the last of them.

        Returns:
            A list of (B, D, S, S). Unless `intermediates_only`, a pair of the last image and the
            list.

        Raises:
            ValueError: another format than NCHW or normalised tokens are asked for.
        """
        if norm or output_fmt != "NCHW":
            raise ValueError("SReT gives features as NCHW, without the norm of the pooled tokens")
        taken, last = self._taken(indices)
        images, x_BDSS = [], images_BCSS
        for i, x_BDSS in enumerate(self.feature_maps(images_BCSS)):
            if i in taken:
                images.append(x_BDSS)
            if stop_early and i == last:
                break
        return images if intermediates_only else (x_BDSS, images)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop all stages after the last of `indices`, and the head.

        Returns:
            The indices of the stages that are taken.
        """
        taken, last = self._taken(indices)
        self.stages, self.pools = self.stages[: last + 1], self.pools[:last]
        if prune_norm or last < len(self.feature_info) - 1:
            self.norm = nn.Identity()
        if prune_head or last < len(self.feature_info) - 1:
            self.reset_classifier(0, "")
        return taken

    def _taken(self, indices: int | Sequence[int] | None) -> tuple[list[int], int]:
        """Indices of the stages that are taken, as in `forward_intermediates`, and the last of
        them."""
        every = range(len(self.stages))
        if isinstance(indices, int):
            taken = list(every)[-indices:]
        else:
            taken = [every[i] for i in (every if indices is None else indices)]
        return taken, max(taken)


def _side(img_size: int | Sequence[int]) -> int:
    sides = {img_size} if isinstance(img_size, int) else set(img_size)
    if len(sides) != 1:
        raise ValueError(f"SReT takes square images, but img_size is {img_size}")
    return sides.pop()


def _settings(a: Architecture) -> dict[str, Any]:
    """Facts that timm keeps of a model. Images are normalised as those of ImageNet."""
    return {
        "input_size": (a.in_channels, a.image_size, a.image_size),
        "fixed_input_size": True,
        "num_classes": a.classes,
        "first_conv": "stem.0",
        "classifier": "head",
        "license": "mit",
        "paper_ids": "arXiv:2111.05297",
        "paper_name": "Sliced Recursive Transformer",
    }


def _fitting(weights: Mapping[str, Tensor], model: TimmSReT) -> dict[str, Tensor]:
    """Weights with positions at the model's resolution."""
    positions = positions_at(weights["positions_1DSS"], model.architecture.sides[0])
    return dict(weights) | {"positions_1DSS": positions}


def _build(name: str, pretrained: bool, a: Architecture, **options: Any) -> nn.Module:
    features = {"out_indices": tuple(range(len(a.stages))), "feature_cls": "getter"}
    model: nn.Module = build_model_with_cfg(
        TimmSReT, name, pretrained, pretrained_filter_fn=_fitting, feature_cfg=features,
        architecture=a, **options,
    )  # fmt: skip
    return model


def _entry(name: str) -> Callable[..., nn.Module]:
    def build(pretrained: bool = False, **options: Any) -> nn.Module:
        return _build(name, pretrained, VARIANTS[name], **options)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"The variant {name}."
    return build


def sret(pretrained: bool = False, *, folder: Path | str, **options: Any) -> nn.Module:
    """The architecture of an exported folder or a model file; with `pretrained`, also its weights."""
    model = load(folder)
    settings = _settings(model.architecture) | {"architecture": "sret"}
    if pretrained:
        settings["state_dict"] = model.state_dict()
    return _build("sret", pretrained, model.architecture, **options | {"pretrained_cfg": settings})


default_cfgs = generate_default_cfgs({name: _settings(a) for name, a in VARIANTS.items()})
for _name in VARIANTS:
    globals()[_name] = register_model(_entry(_name))
register_model(sret)
