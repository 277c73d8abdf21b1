"""Trained models by name: of a trial, a file, an official checkpoint, torchvision."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sret_search.architecture import Architecture, ArchitectureError
from sret_search.architecture.variants import VARIANTS
from sret_search.artifacts.names import WEIGHTS
from sret_search.errors import nearest, one_line
from sret_search.job import Data, Provenance, Seen
from sret_search.job.paths import PathError, model_parts
from sret_search.model import (
    CheckpointError,
    SReT,
    load,
    load_official,
    rerun,
    resize,
    training_of,
)
from sret_search.model.files import reason
from sret_search.training import data
from sret_search.training.checkpoints import attempt_number
from sret_search.training.vision import torchvision

_WITHOUT_WEIGHTS = {
    "image_size", "classes", "groups", "order", "permutation", "drop_path", "init", "lam", "p", "q",
}  # fmt: skip
"""Fields in which a model may differ from the model whose weights it starts from."""


class PretrainedError(Exception):
    """A named model cannot be used. The message is a line with the name in it."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def load_model(name: str) -> nn.Module:
    """A trained model, on the CPU, in float32 and evaluation mode.

    Args:
        name: "torchvision:resnet18", downloaded once; "VARIANT:file.pth", an official checkpoint; a
            file that `save` wrote (.safetensors); the folder of a trial, whose newest attempt with
            weights counts; or the folder of an attempt.

    Raises:
        PretrainedError: there is no such model, or its file is damaged or cannot be downloaded.
    """
    kind, rest = _parts(name)
    if kind == "torchvision":
        model = _torchvision(rest)
    elif kind is not None:
        model = _official(kind, rest)
    else:
        model = _ours(Path(rest))
    return model.float().eval()


def provenance(name: str) -> Provenance | None:
    """The training that produced a named model's weights; None if it is not known.

    It is not known for official checkpoints, torchvision's models, and files without such data.

    Raises:
        PretrainedError: there is no such model, or its file cannot be read.
    """
    kind, rest = _parts(name)
    if kind is not None:
        return None
    path = _file(Path(rest))
    try:
        plain = training_of(path)
        return None if plain is None else Provenance.from_dict(plain)
    except CheckpointError as error:
        raise PretrainedError(str(error)) from None
    except Exception as error:  # noqa: BLE001  a damaged file may raise anything
        raise PretrainedError(f"{path} cannot be loaded: {reason(error)}") from None


def check_unseen(name: str, seen: Sequence[Seen], cuts: Sequence[Data]) -> None:
    """Check that no validation or test image here was trained on before.

    A model that starts from these weights, or learns from them, would know such images.

    Args:
        name: name of the model.
        seen: images that its weights were trained on.
        cuts: data of the trainings here, one for each fold.

    Raises:
        PretrainedError: such images exist. The message has their number and the difference of the
            cuts.
        DataError: this cannot be known, or the data cannot be read.
    """
    if not any(data.same_set(images.data, cuts[0]) for images in seen):
        return
    split = data.load(cuts[0])
    for cut in cuts:
        val, test = (
            data.overlap(seen, cut, part, split.uncut, split.contents) for part in ("val", "test")
        )
        if val or test:
            several = "; a study with folds needs a model for each fold" if len(cuts) > 1 else ""
            raise PretrainedError(
                f"{name} was trained on {test:,} of the test images and {val:,} of the validation"
                f" images here ({data.difference(seen, cut)}){several}"
            )


def start_from(model: SReT, name: str) -> None:
    """Give a model the weights of a named model, in place.

    Positions are interpolated to the model's resolution. Loops may differ, unless each loop has
    weights. A head for another number of classes keeps its weights.

    Raises:
        PretrainedError: there is no such model, it is not an SReT, or its weights do not fit.
    """
    source = load_model(name)
    if not isinstance(source, SReT):
        raise PretrainedError(f"{name} is not an SReT: there is nothing to start from")
    # Slices have no weights, and the source's slices need not divide the tokens of this resolution.
    stages = tuple(replace(stage, groups=(1,)) for stage in source.architecture.stages)
    whole = replace(source.architecture, stages=stages)
    a = model.architecture
    try:
        if a.weights != replace(whole, image_size=a.image_size, classes=a.classes).weights:
            raise PretrainedError(f"{name} does not fit: {_difference(whole, a)}")
    except ArchitectureError as error:
        raise PretrainedError(f"{name} does not run at {a.image_size} pixels: {error}") from None
    weights = resize(rerun(source, whole), a.image_size).state_dict()
    if whole.classes != a.classes:
        initial = model.state_dict()
        weights |= {key: initial[key] for key in initial if key.startswith("head.")}
    model.load_state_dict(weights)


def _parts(name: str) -> tuple[str | None, str]:
    if not name:
        raise PretrainedError("the name of a model is empty: there is no such file or folder")
    try:
        return model_parts(name)
    except PathError as error:
        raise PretrainedError(str(error)) from None


def _torchvision(name: str) -> nn.Module:
    names = torchvision.models.list_models(torchvision.models)
    if name not in names:
        raise PretrainedError(f"torchvision has no model {name!r}; {nearest(name, names)}")
    if torch.hub.get_dir().startswith("~"):  # otherwise torch creates a folder ~
        raise PretrainedError(
            f"torchvision:{name} cannot be kept: this user has no home folder; set TORCH_HOME to"
            " another folder"
        )
    try:
        with redirect_stdout(sys.stderr):  # torch prints its download
            model: nn.Module = torchvision.models.get_model(name, weights="DEFAULT")
    except Exception as error:  # noqa: BLE001  networks, disks and damaged files may raise anything
        raise PretrainedError(f"torchvision:{name} cannot be loaded: {reason(error)}") from None
    return model


def _official(variant: str, file: str) -> SReT:
    if variant not in VARIANTS:
        valid = nearest(variant, VARIANTS)
        raise PretrainedError(f"{variant}:{file}: unknown variant {variant!r}; {valid}")
    try:
        return load_official(file, variant)
    except OSError as error:
        raise PretrainedError(f"{file} cannot be read: {reason(error)}") from None
    except CheckpointError as error:
        raise PretrainedError(str(error)) from None


def _ours(name: Path) -> SReT:
    path = _file(name)
    try:
        return load(path)
    except OSError as error:
        raise PretrainedError(f"{path} cannot be loaded: {reason(error)}") from None
    except CheckpointError as error:
        raise PretrainedError(str(error)) from None


def _file(path: Path) -> Path:
    """The model file of a name: the file itself, or that of a trial, an attempt or an exported
    folder."""
    if path.suffix == ".pth":
        raise PretrainedError(f"{path}: name its variant, as in sret_t:{path}")
    if not os.path.exists(path):
        raise PretrainedError(f"{path}: no such file or folder")
    if path.is_dir():
        by_attempt = {
            attempt_number(file.parent): file for file in path.glob(f"attempt-*/{WEIGHTS}")
        }
        path = by_attempt[max(by_attempt)] if by_attempt else path / WEIGHTS
        if not path.exists():
            raise PretrainedError(f"{path.parent} has no {WEIGHTS}, and no attempt in it has one")
    return path


def _difference(source: Architecture, a: Architecture) -> str:
    """Fields in which the weights of two architectures differ, in words."""
    if len(source.stages) != len(a.stages):
        return f"{len(source.stages)} stages against {len(a.stages)}"
    theirs, ours = (dict(_fields(each.to_dict(complete=True))) for each in (source, a))
    by_loop = a.relax.per_loop or a.nll.share == "execution" or a.loop.embedding == "learned"
    return ", ".join(
        f"{key} {theirs[key]} against {value}"
        for key, value in ours.items()
        if value != theirs[key] and (by_loop or not key.endswith(".loops"))
    )


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of every field that affects weights."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in _WITHOUT_WEIGHTS:
                yield from _fields(inner, f"{path}.{name}" if path else name)
    elif path == "stages":
        for i, stage in enumerate(value):
            yield from _fields(stage, f"{path}.{i}")
    else:
        yield path, value
