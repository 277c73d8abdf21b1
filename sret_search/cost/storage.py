"""Bytes of the stored weights of an architecture, by the type that stores them.

Parameters are counted. Batch normalisation's running means and variances are not: they are no
parameters, and a few hundred bytes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from sret_search.architecture import Architecture
from sret_search.architecture.parts import stem_channels
from sret_search.cost.count import cost

Storage = Literal["float32", "bf16", "int8"]

_FLOAT, _HALF = 4, 2


class Matrices(NamedTuple):
    """The weights that int8 rounds, and the number of their output channels."""

    weights: int
    channels: int


def stored_bytes(a: Architecture, storage: Storage = "float32") -> int:
    """Bytes of all parameters.

    Args:
        storage: "float32" and "bf16" store every parameter in 4 or 2 bytes. "int8" stores the
            weights of `matrices` in a byte each, with a float32 scale for each output channel, and
            every other parameter in float32.
    """
    params = cost(a).params
    if storage == "float32":
        return _FLOAT * params
    if storage == "bf16":
        return _HALF * params
    rounded = matrices(a)
    return rounded.weights + _FLOAT * (rounded.channels + params - rounded.weights)


def matrices(a: Architecture) -> Matrices:
    """Count the weights of all linear layers and convolutions: stem, blocks with all of their
    experts, NLLs, the injection "linear", pools and head.

    Biases, norms, positions, weights of branches, streams, gates and readouts, embeddings of loops
    and LoRA factors are not among them.
    """
    weights = channels = 0

    def add(inputs: int, outputs: int, times: int = 1) -> None:
        nonlocal weights, channels
        weights += times * inputs * outputs
        channels += times * outputs

    before = a.in_channels
    for width, stride in zip(
        stem_channels(a.stem_strides, a.stages[0].width), a.stem_strides, strict=True
    ):
        add(before * (9 if a.stem == "convolutions" else stride**2), width)
        before = width
    for i, stage in enumerate(a.stages):
        d, h, n, nlls = stage.width, stage.hidden, a.nll.hidden(stage.width), a.nlls(stage)
        mlps = stage.unique * a.relax.experts
        injections = 2 * (a.loop.injection == "linear" and stage.most_loops > 1)
        for inputs, outputs, times in (
            (d, 3 * d, stage.unique), (d, d, stage.unique), (d, h, mlps), (h, d, mlps),
            (d, n, nlls), (n, d, nlls), (d, d, injections), (9, d, int(i > 0)),
        ):  # fmt: skip
            add(inputs, outputs, times)
    add(a.stages[-1].width, a.classes)
    return Matrices(weights, channels)
