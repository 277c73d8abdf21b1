"""A model as a graph without Python: torch.export's, or ONNX.

Every execution is in the graph, so it grows with depth; weights are in it once. It takes batches of
any size. A graph counts only after it was run and compared with the model.

Shapes: B images, C channels, S side in pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from sret_search.export.extras import require_extra
from sret_search.model import SReT

FILES = {"torch_export": "model.pt2", "onnx": "model.onnx"}
"""Formats, each with its file name in an exported folder."""

TOLERANCE = 1e-5
"""Largest difference of a logit from the model's; relative for logits beyond 1."""

_BATCHES = (1, 2, 5)
"""Batch sizes at which a graph is compared with the model."""

Run = Callable[[Tensor], Tensor]


class GraphError(Exception):
    """A model has no graph that gives its outputs. The message is a line for the reader."""


def write_graph(model: SReT, kind: str, path: Path) -> float:
    """Write the graph of a model in evaluation mode, and compare it with the model on the CPU.

    Args:
        kind: a format in `FILES`.
        path: the file to write.

    Returns:
        The largest difference between logits of graph and model.

    Raises:
        GraphError: the model draws random numbers, or the outputs differ by more than TOLERANCE.
        ExtraError: ONNX is asked for and not installed.
    """
    a = model.architecture
    if a.permutation == "official" and a.built != replace(a, permutation="none").built:
        raise GraphError(
            "permutation official draws a new order of tokens in each pass, also in evaluation, so"
            " no graph gives the outputs of the model"
        )
    if kind == "onnx":
        require_extra("onnx")
    model = model.eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch warns of its future changes
        batch = ({0: Dim("batch")},)
        program = torch.export.export(model, (_images(model, 2),), dynamic_shapes=batch)
        run = (_write_onnx if kind == "onnx" else _write_torch)(program, path)
        return max(_compared(model, run, path.name, size) for size in _BATCHES)


def _write_torch(program: ExportedProgram, path: Path) -> Run:
    torch.export.save(program, path)
    return torch.export.load(path).module()


def _write_onnx(program: ExportedProgram, path: Path) -> Run:
    import onnxruntime

    made = torch.onnx.export(
        program, dynamo=True, verbose=False, input_names=["images"], output_names=["logits"]
    )
    assert made is not None
    for node in made.model.graph:
        node.metadata_props.clear()  # source positions, most of the file
    made.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(images_BCSS: Tensor) -> Tensor:
        (logits,) = session.run(None, {"images": images_BCSS.numpy()})
        return torch.from_numpy(logits)

    return run


def _compared(model: SReT, run: Run, name: str, size: int) -> float:
    images_BCSS = _images(model, size)
    wanted, given = model(images_BCSS), run(images_BCSS)
    difference = (given - wanted).abs()
    if not (difference <= TOLERANCE * wanted.abs().clamp(min=1)).all():
        raise GraphError(
            f"{name} gives other outputs than the model: they differ by {difference.max():.2g}"
        )
    return float(difference.max())


def _images(model: SReT, size: int) -> Tensor:
    """Random normalised images (size, C, S, S), the same at each call."""
    a = model.architecture
    draw = torch.Generator().manual_seed(size)
    return torch.randn(size, a.in_channels, a.image_size, a.image_size, generator=draw)
