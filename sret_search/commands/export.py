"""`sret-search export STUDY --trial best --out DIR`: write a trained model, for use elsewhere."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sret_search.architecture import Architecture
from sret_search.commands.arguments import command_line, positive
from sret_search.config.problems import shown
from sret_search.errors import nearest
from sret_search.job.paths import named_path
from sret_search.study import StudyError, load_study

if TYPE_CHECKING:
    from sret_search.export.card import Origin
    from sret_search.reporting.results import Results
    from sret_search.training.results import RerunResult
    from sret_search.trials.trial import TrialRecord
    from sret_search.trials.trial_result import TrialResult

_DESCRIPTION = """\
Write a trained model of a study into a folder that does not need the study:

  model.safetensors       the weights, with their architecture
  architecture.yaml       that architecture
  study.yaml, space.yaml  a study that trains the same candidate again
  evaluation.yaml         settings of its accuracy; `sret-search evaluate DIR` measures it again
  README.md               a model card: accuracy, cost, use, provenance

TRIAL is a number, or a choice of the study's report: best, knee, or smallest (within one point of
the best). If a candidate has several seeds, the first is exported, not the best.
"""
_EXAMPLES = """\
export studies/depth_scaling.yaml --trial best --out exported
export studies/elastic.yaml --trial 0 --depth 8 --out exported
export studies/small.yaml --trial 3 --format onnx --out exported"""
_CHOICES = ("best", "knee", "smallest")
_FORMATS = ("torch_export", "onnx")


def parser(prog: str) -> argparse.ArgumentParser:
    """The parser of `export`."""
    result = command_line(prog, _DESCRIPTION, _EXAMPLES)
    result.add_argument("study", metavar="STUDY", type=named_path, help="a study file (YAML)")
    result.add_argument("--trial", required=True, help=f"{', '.join(_CHOICES)}, or a number")
    result.add_argument(
        "--out", metavar="DIR", required=True, type=named_path, help="an empty or a new folder"
    )
    result.add_argument(
        "--depth",
        type=positive,
        metavar="K",
        help="executions of the exported model: a depth at which the weights were measured",
    )
    result.add_argument(
        "--format",
        action="append",
        default=[],
        choices=_FORMATS,
        help="also write a graph, model.pt2 or model.onnx, compared with the model; may be given"
        " several times",
    )
    return result


def main(argv: list[str], prog: str) -> None:
    """Write the folder, and print its contents.

    Raises:
        StudyError: there is no such trial, it has no weights, or the folder cannot be written.
    """
    command = parser(prog)
    arguments = command.parse_args(argv)
    if arguments.trial not in _CHOICES and not arguments.trial.isdecimal():
        command.error(
            f"--trial {arguments.trial}: give a number, or {nearest(arguments.trial, _CHOICES)}"
        )
    _check_out(arguments.out)
    _export(arguments)


def _check_out(out: Path) -> None:
    try:
        if out.is_dir() and any(out.iterdir()):
            raise StudyError(f"--out {shown(out)}: the folder is not empty")
        if out.exists() and not out.is_dir():
            raise StudyError(f"--out {shown(out)}: there is a file of that name")
    except OSError as error:
        raise StudyError(f"--out {shown(out)}: {error.strerror}") from None


def _export(arguments: argparse.Namespace) -> None:
    study = load_study(arguments.study)

    from sret_search.reporting.results import Results

    results = Results.read(study)
    entry, chosen = _trial(results, arguments.trial)
    architecture = _at_depth(entry, arguments.depth)
    numbers = {n for recipe in _recipes(results, entry) for n in recipe.trials_read}
    read_models = {number: _weights(results, number) for number in sorted(numbers)}
    weights = _weights(results, entry.number)
    origin = _origin(results, entry, architecture, chosen)
    _write(arguments.out, weights, origin, read_models, arguments.format)


def _write(
    out: Path, weights: bytes, origin: Origin, read_models: dict[int, bytes], formats: Sequence[str]
) -> None:
    from sret_search.export.extras import ExtraError
    from sret_search.export.folder import WeightsError, write_folder
    from sret_search.export.graph import GraphError

    try:
        differences = write_folder(out, weights, origin, read_models, list(dict.fromkeys(formats)))
    except WeightsError as error:
        raise StudyError(f"trial {origin.trial}: {error}") from None
    except (GraphError, ExtraError) as error:
        raise StudyError(f"--format: {error}") from None
    except OSError as error:
        raise StudyError(f"--out {shown(out)}: {error.strerror or error}") from None
    print(f"{shown(out)}: trial {origin.trial} of {origin.study}")
    for part, accuracy in origin.accuracy.items():
        print(f"{part} accuracy {100 * accuracy:.2f} %")
    for kind, difference in differences.items():
        print(f"{kind}: logits differ by at most {difference:.1g}")


def _trial(results: Results, selection: str) -> tuple[TrialRecord, str]:
    """The trial to export, and the reason for it in a sentence of its card."""
    if selection.isdecimal():
        if int(selection) >= len(results.entries):
            last = len(results.entries) - 1
            are = f"the last is {last}" if results.entries else "there is none yet"
            raise StudyError(f"--trial {selection}: {results.name} has no such trial; {are}")
        return results.entries[int(selection)], ""

    from sret_search.reporting.recommendation import answer

    recommended = answer(results)
    if recommended is None:
        raise StudyError(f"--trial {selection}: no trial of {results.name} is complete yet")
    if selection not in recommended.choices:
        raise StudyError(f"--trial {selection}: the front of {results.name} has no knee")
    choice = recommended.choices[selection]
    kinds = {"best": "best", "knee": "knee", "smallest": "smallest within one point of the best"}
    by = "fresh seeds" if recommended.is_confirmed else "validation accuracy"
    sentence = f"It is the {kinds[selection]} of {recommended.among:,} candidates, by {by}."
    if choice.seeds > 1:
        sentence += f" This is the first of its {choice.seeds} seeds, not the best."
    return results.entries[choice.trial], sentence


def _at_depth(entry: TrialRecord, depth: int | None) -> Architecture:
    """The architecture of the exported model.

    Raises:
        StudyError: the trial has no weights, or was not measured at this depth.
    """
    if entry.state != "complete":
        raise StudyError(f"trial {entry.number} is {entry.state}, and has no weights to export")
    job = entry.job
    if depth is None:
        return job.architecture
    known = {a.executions: a for a in (*job.reruns, job.architecture)}
    if depth in known:
        return known[depth]
    if len(known) == 1:
        raise StudyError(
            f"--depth {depth}: trial {entry.number} was measured at {job.architecture.executions:,}"
            " executions only; elastic recipes (depth_training) are measured at more"
        )
    depths = ", ".join(f"{executions:,}" for executions in sorted(known))
    raise StudyError(
        f"--depth {depth}: the weights of trial {entry.number} were measured at {depths} executions"
    )


def _weights(results: Results, number: int) -> bytes:
    """Content of a trial's model file."""
    from sret_search.artifacts.names import WEIGHTS
    from sret_search.artifacts.trial_folders import TrialFolders

    folders = TrialFolders(results.study.trials_root)
    attempt = folders.weights(number)
    if attempt is None:
        raise StudyError(f"trial {number} no longer has {WEIGHTS} in {folders.name}")
    return folders.open(attempt, WEIGHTS).read()


def _recipes(results: Results, entry: TrialRecord) -> list[Any]:
    """Recipes of a trial and of the trials that it continued, in their order."""
    recipes = [entry.job.recipe]
    while entry.parent is not None:
        entry = results.entries[entry.parent]
        recipes.append(entry.job.recipe)
    return recipes[::-1]


def _origin(
    results: Results, entry: TrialRecord, architecture: Architecture, chosen: str
) -> Origin:
    from sret_search.export.card import Origin

    def same(other: TrialRecord) -> bool:
        named = (other.candidate, other.role, other.confirmed_on, other.state)
        return named == (entry.candidate, entry.role, entry.confirmed_on, "complete")

    job, result = entry.job, entry.result
    accuracy = _measured(results, entry, architecture)
    seeds = [_measured(results, trial, architecture) for trial in filter(same, results.entries)]
    depths = [a for a in (*job.reruns, job.architecture) if a != architecture]
    return Origin(
        study=results.name,
        trial=entry.number,
        job=job,
        architecture=architecture,
        before=_recipes(results, entry)[:-1],
        images=results.description.data.sizes,
        accuracy=accuracy,
        seeds=len(seeds),
        means={part: math.fsum(seed[part] for seed in seeds) / len(seeds) for part in accuracy},
        depths=[(a.executions, _measured(results, entry, a)) for a in depths],
        chosen=chosen,
        steps=result.steps or 0,
        seconds=result.seconds or 0.0,
        train_macs=entry.train_macs,
        ended=None if entry.ended is None else entry.ended.strftime("%Y-%m-%d"),
        environment=result.environment,
    )


def _measured(results: Results, entry: TrialRecord, architecture: Architecture) -> dict[str, float]:
    """Accuracies of a trial that may be shown, by part, with its weights run as an architecture."""
    reached: TrialResult | RerunResult = entry.result
    if architecture != entry.job.architecture:
        reached = entry.result.reruns[entry.job.reruns.index(architecture)]
    # Accuracy on validation images that were trained on measures nothing.
    parts = [] if entry.sees_validation else ["val"]
    parts += ["test"] if results.shows_test(entry) else []
    return {part: reached.accuracy(part) for part in parts}
