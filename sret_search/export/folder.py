"""An exported model: a folder that needs nothing of the study that it is from."""

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
from sret_search.export.card import card
from sret_search.export.origin import Origin
from sret_search.export.recipe import plain, space_of, study_of
from sret_search.job import Data
from sret_search.job.paths import trial_name, trial_named
from sret_search.model import SReT, load, rerun, save, training_of
from sret_search.training import data
from sret_search.training.evaluation import BATCH
from sret_search.training.trainer import evaluation_seed
from sret_search.writing import yaml_text

_ARCHITECTURE, _SPACE, _CARD = "architecture.yaml", "space.yaml", "README.md"
_LONGEST = 50
"""Letters of a study's name that stay in that of the study that trains one of its trials again."""


class WeightsError(Exception):
    """A model file is damaged; one line for the reader."""


def write_folder(
    out: Path,
    weights: bytes,
    origin: Origin,
    others: Mapping[int, bytes],
    formats: Sequence[str] = (),
) -> dict[str, float]:
    """Write everything that a model needs elsewhere, all of it or nothing.

    Args:
        out: an empty folder, or one that is not there.
        weights: the model file of the trial.
        others: model files of other trials that its training began with or learnt from.
        formats: graphs that are written too, of `graph.FILES`.

    Returns:
        For each format, the largest difference between logits of the graph and the model.

    Raises:
        WeightsError: the weights are damaged.
        GraphError: a graph cannot be made, or gives other outputs.
        ExtraError: what makes a graph is not installed.
        OSError: the folder cannot be written, or has something in it.
    """
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        differences = _write(partial, out, weights, origin, others, formats)
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
    others: Mapping[int, bytes],
    formats: Sequence[str],
) -> dict[str, float]:
    model = _model(folder / WEIGHTS, weights, origin.architecture)
    for number, content in others.items():
        (folder / _of_trial(number)).write_bytes(content)

    def named(name: str) -> str:
        number = trial_named(name)
        return name if number is None else str(out / _of_trial(number))

    job = origin.job
    study = f"{origin.study[:_LONGEST]}_trial_{origin.trial}"
    _dump(folder / _ARCHITECTURE, origin.architecture.to_dict(), "The exported architecture.")
    _dump(folder / _SPACE, space_of(job.architecture), "What study.yaml trains.")
    again = study_of(study, _SPACE, job, origin.before, named)
    later = again.get("branches", [])[1:]
    if later:
        again["branches"] = again["branches"][:1]
    _dump(folder / STUDY, again, _about(origin, later))
    mean, std = _statistics(job.data)
    _dump(folder / EVALUATION, _evaluation(origin, mean, std), _MEASURED)
    differences = {
        kind: graph.write_graph(model, kind, folder / graph.FILES[kind]) for kind in formats
    }
    graphs = {kind: (graph.FILES[kind], found) for kind, found in differences.items()}
    (folder / _CARD).write_text(encodable(card(origin, mean, std, graphs)), encoding="utf-8")
    return differences


def _model(path: Path, weights: bytes, architecture: Architecture) -> SReT:
    """Write a model file, and read it; as another architecture of the same weights perhaps."""
    path.write_bytes(weights)
    try:
        model = load(path)
    except Exception as error:  # noqa: BLE001  whatever a damaged file raises
        raise WeightsError(f"the weights cannot be read: {str(error).splitlines()[0]}") from None
    if architecture != model.architecture:
        model = rerun(model, architecture)
        save(model, path, training_of(path))
    return model


_MEASURED = "How the accuracy was measured: sret-search evaluate, on this folder, does it again."


def _about(origin: Origin, later: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"Trains trial {origin.trial} of {origin.study} again: python -m sret_search.run {STUDY}",
        "Relative paths are seen from where it is run, as they were when the folder was written.",
    ]
    if origin.job.whole:
        lines.append("The exported model is its first confirmation, on the validation part too.")
    if origin.before:
        lines.append(f"The exported model is its trial {len(origin.before)}.")
    for i, branch in enumerate(later, 1):
        lines.append(f"Once trial {i} has ended, add to branches: {json.dumps(branch)}")
    return "\n".join(lines)


def _evaluation(
    origin: Origin, mean: Sequence[float] | None, std: Sequence[float] | None
) -> dict[str, Any]:
    a, job = origin.architecture, origin.job
    known = {} if mean is None else {"mean": plain(mean), "std": plain(std)}
    return {
        "image_size": a.image_size,
        "in_channels": a.in_channels,
        "classes": a.classes,
        **known,
        "part": origin.part,
        "accuracy": dict(origin.accuracy),
        "batch": BATCH,
        "precision": job.recipe.precision,
        "seed": evaluation_seed(job.seed, origin.steps),
    }


def _statistics(what: Data) -> tuple[Sequence[float] | None, Sequence[float] | None]:
    """Mean and deviation of each channel; None where the data is not at hand."""
    try:
        split = data.load(what)
    except data.DataError:
        return None, None
    return split.mean, split.std


def _of_trial(number: int) -> str:
    return f"trial_{trial_name(number)}.safetensors"


def _dump(path: Path, content: Mapping[str, Any], comment: str) -> None:
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    path.write_text(head + yaml_text(content), encoding="utf-8")
