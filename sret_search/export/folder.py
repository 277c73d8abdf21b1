"""An exported model: a folder that does not need the study it comes from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sret_search.architecture import Architecture
from sret_search.artifacts.names import EVALUATION, STUDY, WEIGHTS
from sret_search.errors import encodable
from sret_search.export import graph
from sret_search.export.card import Origin, card
from sret_search.export.evaluation_settings import EvaluationSettings
from sret_search.export.recipe import space_of, study_of
from sret_search.job import Data
from sret_search.job.paths import trial_name, trial_named
from sret_search.model import SReT, load, rerun, save, training_of
from sret_search.training import data
from sret_search.training.evaluation import BATCH
from sret_search.training.trainer import evaluation_seed
from sret_search.writing import yaml_text

_ARCHITECTURE, _SPACE, _CARD = "architecture.yaml", "space.yaml", "README.md"
_LONGEST = 50
"""Letters of a study's name that are kept in the name of the study that trains a trial again."""


class WeightsError(Exception):
    """A model file is damaged. The message is a line for the reader."""


def write_folder(
    out: Path,
    weights: bytes,
    origin: Origin,
    read_models: Mapping[int, bytes],
    formats: Sequence[str] = (),
) -> dict[str, float]:
    """Write a model's folder, completely or not at all.

    Args:
        out: an empty folder, or one that does not exist.
        weights: content of the trial's model file.
        origin: the trial and its measurements.
        read_models: model files of trials that the training started from or learnt from, by number.
        formats: graphs to write too, names in `graph.FILES`.

    Returns:
        For each format, the largest difference between logits of the graph and the model.

    Raises:
        WeightsError: the weights are damaged.
        GraphError: a graph cannot be made, or gives other outputs.
        ExtraError: the packages for a graph are not installed.
        OSError: the folder cannot be written, or is not empty.
    """
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        differences = _write(partial, out, weights, origin, read_models, formats)
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return differences


def _write(
    folder: Path,
    out: Path,
    weights: bytes,
    origin: Origin,
    read_models: Mapping[int, bytes],
    formats: Sequence[str],
) -> dict[str, float]:
    model = _model(folder / WEIGHTS, weights, origin.architecture)
    for number, content in read_models.items():
        (folder / _weights_file(number)).write_bytes(content)

    def named(name: str) -> str:
        number = trial_named(name)
        return name if number is None else str(out / _weights_file(number))

    job = origin.job
    study = f"{origin.study[:_LONGEST]}_trial_{origin.trial}"
    _dump(folder / _ARCHITECTURE, origin.architecture.to_dict(), "The exported architecture.")
    _dump(folder / _SPACE, space_of(job.architecture), "The space of study.yaml.")
    again = study_of(study, _SPACE, job, origin.before, named)
    _dump(folder / STUDY, again.file, _about(origin, again.later_branches))
    mean, std = _statistics(job.data)
    _dump(folder / EVALUATION, _settings(origin, mean, std).to_json(), _MEASURED)
    differences = {
        kind: graph.write_graph(model, kind, folder / graph.FILES[kind]) for kind in formats
    }
    graphs = {kind: (graph.FILES[kind], difference) for kind, difference in differences.items()}
    (folder / _CARD).write_text(encodable(card(origin, mean, std, graphs)), encoding="utf-8")
    return differences


def _model(path: Path, weights: bytes, architecture: Architecture) -> SReT:
    """Write a model file and read it, if needed as another architecture with the same weights."""
    path.write_bytes(weights)
    try:
        model = load(path)
    except Exception as error:  # noqa: BLE001  a damaged file may raise anything
        raise WeightsError(f"the weights cannot be read: {str(error).splitlines()[0]}") from None
    if architecture != model.architecture:
        model = rerun(model, architecture)
        save(model, path, training_of(path))
    return model


_MEASURED = "Settings of the accuracy: `sret-search evaluate` on this folder measures it again."


def _about(origin: Origin, later: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"Trains trial {origin.trial} of {origin.study} again: python -m sret_search.run {STUDY}",
        "Relative paths begin at the working directory of this command, as before the export.",
    ]
    if origin.job.whole:
        lines.append("The exported model is its first confirmation, on the validation part too.")
    if origin.before:
        lines.append(f"The exported model is its trial {len(origin.before)}.")
    for i, branch in enumerate(later, 1):
        lines.append(f"Once trial {i} has ended, add to branches: {json.dumps(branch)}")
    return "\n".join(lines)


def _settings(
    origin: Origin, mean: Sequence[float] | None, std: Sequence[float] | None
) -> EvaluationSettings:
    a, job = origin.architecture, origin.job
    return EvaluationSettings(
        image_size=a.image_size,
        in_channels=a.in_channels,
        classes=a.classes,
        mean=mean,
        std=std,
        part=origin.part,
        accuracy=origin.accuracy,
        batch=BATCH,
        precision=job.recipe.precision,
        seed=evaluation_seed(job.seed, origin.steps),
    )


def _statistics(source: Data) -> tuple[Sequence[float] | None, Sequence[float] | None]:
    """Mean and standard deviation of each channel; None if the data cannot be read."""
    try:
        split = data.load(source)
    except data.DataError:
        return None, None
    return split.mean, split.std


def _weights_file(number: int) -> str:
    return f"trial_{trial_name(number)}.safetensors"


def _dump(path: Path, content: Mapping[str, Any], comment: str) -> None:
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    path.write_text(head + yaml_text(content), encoding="utf-8")
