"""Optimizers by name, and the combinations of a recipe's fields that they rule out."""

from __future__ import annotations

import math
from typing import Literal

from sret_search.errors import nearest, require
from sret_search.importing import require_import_path

OPTIMIZERS = ("adamw", "sgd", "muon")
Parametrization = Literal["standard", "mup"]


def check_optimization(
    optimizer: str,
    lr_other: float | None,
    clip_grad_norm: float | None,
    parametrization: Parametrization,
    init: str | None,
) -> None:
    """Check the optimizer of a recipe, and the fields that depend on it.

    Raises:
        ValueError: the optimizer is unknown, or it contradicts another field.
    """
    if ":" in optimizer:
        require_import_path(optimizer)
    require(
        ":" in optimizer or optimizer in OPTIMIZERS,
        f"unknown optimizer {optimizer!r}; {nearest(optimizer, OPTIMIZERS)}"
        " (`package.module:name`, such as torch.optim:RAdam, is for others)",
    )
    require(
        lr_other is None or 0 < lr_other < math.inf, f"`lr_other > 0` must hold, but got {lr_other}"
    )
    require(
        lr_other is None or optimizer == "muon",
        "`lr_other` is the learning rate of the weights that `optimizer: muon` leaves to AdamW:"
        " leave it out, or name that optimizer",
    )
    if parametrization == "standard":
        return
    require(
        ":" not in optimizer,
        "`parametrization: mup` needs the optimizer's rule for learning rates and widths, which is"
        f" not known for {optimizer}: name one of {', '.join(OPTIMIZERS)}",
    )
    require(
        init is None,
        "`parametrization: mup` sets the size of the initial weights, and so does `init`: leave out"
        " one of them",
    )
    require(
        optimizer != "sgd" or clip_grad_norm is None,
        "`parametrization: mup` with `optimizer: sgd` needs `clip_grad_norm: null`: the gradient of"
        " the head grows with the width, and clipping would shorten the steps of wide models",
    )
