"""A model in one safetensors file: its weights, and its architecture as JSON in the header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

from sret_search.architecture import Architecture
from sret_search.model.sret import SReT

_FILE = "model.safetensors"
"""The name of the file, in a folder that has one model."""


def save(model: SReT, file: Path | str | IO[bytes]) -> None:
    """Write a model, to a path or an open file; `load` gives it back with the same bits."""
    from safetensors import torch as safetensors

    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    header = {"architecture": json.dumps(model.architecture.to_dict())}
    content = safetensors.save(weights, header)
    if isinstance(file, Path | str):
        Path(file).write_bytes(content)
    else:
        file.write(content)


def load(path: Path | str) -> SReT:
    """Read what `save` wrote, in the dtype of the file and in evaluation mode.

    Args:
        path: the file, or a folder with a `model.safetensors`, as `sret-search export` writes it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file has no architecture in its header.
    """
    from safetensors import safe_open

    path = Path(path)
    path = path / _FILE if path.is_dir() else path
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        if "architecture" not in header:
            raise ValueError(f"{path} has no architecture in its header: not written by `save`")
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = SReT(Architecture.from_dict(json.loads(header["architecture"])))
    model.to(weights["head.weight"].dtype).load_state_dict(weights)
    return model.eval()
