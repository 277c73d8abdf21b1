"""Weights of a model in another model: with other loops, or at another resolution."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sret_search.architecture import Architecture
from sret_search.model.sret import RecursiveStage, SReT


def rerun(model: SReT, architecture: Architecture) -> SReT:
    """The same weights as another architecture. They are shared, not copied.

    A model that ran once has no weights for the loops' injection and streams. They get their
    initial values.

    Raises:
        ValueError: the architecture needs weights that the model does not have.
    """
    if architecture.weights != model.architecture.weights:
        raise ValueError("a rerun needs an architecture with the same weights")
    weights = model.state_dict(keep_vars=True)
    with torch.device("meta"):
        twin = SReT(architecture, model.memory_budget, model.backprop)
    names = twin.state_dict().keys()
    if not names <= weights.keys():
        with torch.random.fork_rng(devices=[]):
            initial = SReT(architecture).to(model.positions_1DSS).state_dict(keep_vars=True)
        weights = {**initial, **weights}
    twin.load_state_dict({name: weights[name] for name in names}, assign=True)
    for stage, original in zip(twin.stages, model.stages, strict=True):
        assert isinstance(stage, RecursiveStage)
        assert isinstance(original, RecursiveStage)
        stage.run_block = original.run_block
    return twin.train(model.training)


def resize(model: SReT, image_size: int) -> SReT:
    """The same weights at another resolution, with positions interpolated bicubically.

    Raises:
        ArchitectureError: the slice groups do not divide the tokens of that resolution.
    """
    twin = SReT(replace(model.architecture, image_size=image_size), model.memory_budget)
    weights = model.state_dict()
    side = twin.architecture.sides[0]
    weights["positions_1DSS"] = positions_at(weights["positions_1DSS"], side)
    twin.to(model.positions_1DSS).load_state_dict(weights)
    return twin.train(model.training)


def positions_at(positions_1DSS: Tensor, side: int) -> Tensor:
    """Positions (1, D, side, side), interpolated bicubically from another side."""
    return F.interpolate(positions_1DSS, (side, side), mode="bicubic", align_corners=False)
