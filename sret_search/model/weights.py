"""A model in a safetensors file: its weights, and in the header as JSON its architecture and
training."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from sret_search.architecture import Architecture
from sret_search.job.paths import named_path
from sret_search.model.files import CheckpointError, check_size, header_of, refusal
from sret_search.model.sret import SReT

_FILE = "model.safetensors"
"""File name of a model inside a folder."""


def save(
    model: SReT, file: Path | str | IO[bytes], training: Mapping[str, Any] | None = None
) -> None:
    """Write a model to a path or an open file. `load` reads it with the same bits.

    Args:
        training: plain data of the training that produced the weights, for `training_of`.
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
    """Read a model that `save` wrote, in the dtype of the file and in evaluation mode.

    Args:
        path: the file, or a folder with a `model.safetensors`, as `sret-search export` writes it.

    Raises:
        OSError: there is no such file, or it cannot be read.
        CheckpointError: it was not written by `save`, is damaged, has no architecture in its
            header, or has weights that do not fit it.
    """
    path = named_path(str(path))
    path = path / _FILE if path.is_dir() else path
    with _explained(path), path.open("rb") as file:
        return _read(file)


def training_of(path: Path | str) -> dict[str, Any] | None:
    """The training data that `save` wrote with the weights; None if there are none.

    Raises:
        OSError: there is no such file, or it cannot be read.
        CheckpointError: it is not a file of weights, or it is damaged.
    """
    path = Path(path)
    with _explained(path), path.open("rb") as file:
        plain = header_of(file).get("__metadata__", {}).get("training")
        training: dict[str, Any] | None = None if plain is None else json.loads(plain)
    return training


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  a damaged file may raise anything
        raise CheckpointError(f"{path} cannot be loaded: {refusal(path, error)}") from None


def _read(file: BinaryIO) -> SReT:
    from safetensors import torch as safetensors

    header = header_of(file).get("__metadata__", {})
    if "architecture" not in header:
        raise ValueError("it has no architecture in its header: not written by `save`")
    a = Architecture.from_dict(json.loads(header["architecture"]))
    # A header may ask for any amount of memory: it is checked against the file's size first.
    check_size(a, os.fstat(file.fileno()).st_size - file.tell())
    file.seek(0)
    weights = safetensors.load(file.read())
    model = SReT(a)
    wanted = model.state_dict()
    for name in [*wanted, *weights]:
        theirs = [
            tuple(tensors[name].shape) if name in tensors else None for tensors in (weights, wanted)
        ]
        if theirs[0] != theirs[1]:
            raise ValueError(
                f"its weights are not those of the architecture in its header: {name} has shape"
                f" {theirs[0]}, not {theirs[1]}"
            )
    model.to(weights["head.weight"].dtype).load_state_dict(weights)
    return model.eval()


def _in_order(content: bytes) -> bytes:
    """The same file with its metadata in a fixed order.

    safetensors writes it in a different order each time, and equal models would differ in their
    bytes.
    """
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]
