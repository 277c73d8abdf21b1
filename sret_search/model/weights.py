"""A model in one safetensors file: its weights, and as JSON in the header its architecture, and the
training that they are from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from sret_search.architecture import Architecture
from sret_search.job.place import expanded
from sret_search.model.sret import SReT

_FILE = "model.safetensors"
"""The name of the file, in a folder that has one model."""


def save(
    model: SReT, file: Path | str | IO[bytes], training: Mapping[str, Any] | None = None
) -> None:
    """Write a model, to a path or an open file; `load` gives it back with the same bits.

    Args:
        training: plain data of the training that the weights are from, for `training_of`.
    """
    from safetensors import torch as safetensors

    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    header = {"architecture": json.dumps(model.architecture.to_dict())}
    if training is not None:
        header["training"] = json.dumps(training, sort_keys=True)
    content = _in_order(safetensors.save(weights, header))
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

    path = Path(expanded(str(path)))
    path = path / _FILE if path.is_dir() else path
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        if "architecture" not in header:
            raise ValueError(f"{path} has no architecture in its header: not written by `save`")
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = SReT(Architecture.from_dict(json.loads(header["architecture"])))
    model.to(weights["head.weight"].dtype).load_state_dict(weights)
    return model.eval()


def training_of(path: Path | str) -> dict[str, Any] | None:
    """What `save` was told of the training of these weights; None where it was told nothing."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        plain = (file.metadata() or {}).get("training")
    found: dict[str, Any] | None = None if plain is None else json.loads(plain)
    return found


def _in_order(content: bytes) -> bytes:
    """The same file with what its header says in order: safetensors has it in another one each
    time, and equal models would differ in their bytes."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]
