"""`sret-search evaluate MODEL --data DATA`: accuracy of a trained model on a data set."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sret_search.architecture import Architecture, ArchitectureError
from sret_search.artifacts.names import EVALUATION, STUDY
from sret_search.commands.arguments import command_line, positive
from sret_search.commands.early_exits import exit_rule, exit_table
from sret_search.config import yaml_source
from sret_search.config.problems import Problem
from sret_search.config.study_file import StudyFile
from sret_search.config.validation import check
from sret_search.config.yaml_source import SourceFile
from sret_search.export.evaluation_settings import EvaluationSettings
from sret_search.job import Data, Provenance
from sret_search.job.paths import model_parts
from sret_search.study import StudyError, load_study
from sret_search.training.results import EarlyExits, standard_error

_DESCRIPTION = """\
Evaluate a trained model on the test part (or the validation part) of a data set.

MODEL is one of
  exported                    a folder of `sret-search export`: with the settings of its accuracy
  runs/STUDY/trials/00003     a trial, or one attempt of it
  model.safetensors           a file of this project
  sret_t:SReT_T.pth           an official checkpoint, after the name of its variant
  torchvision:resnet18        a model of torchvision, downloaded once
DATA is a study file, or its `data` section inline: '{name: imagenet, root: /data/imagenet}'.
Without --data, it is the data that the model was trained on, if its file says so: a trial's data,
split and fold. In a study with folds, the trial's fold is used. With another split of the same data
set, images that the model was trained on are counted and reported.
Images are resized to the model's size.

--exit lets each image leave after the first loop of the block that runs last whose score is at most
a threshold: the entropy of its classes in nats, or the distance of its mean tokens, which the head
reads, to those one loop earlier, relative to their size. It prints the accuracy and the mean executions of an image.
"""
_IMAGENET = {"classes": 1000, "in_channels": 3, "image_size": 224}
"""Images and classes of torchvision's models."""
_PRECISIONS = {"float32": "float32", "bf16": "bf16", "int8": "weights in int8"}
_EXAMPLES = """\
evaluate exported
evaluate runs/smoke/trials/00000 --loops 50
evaluate runs/smoke/trials/00000 --exit entropy:0.1,0.3
evaluate sret_t:SReT_T.pth --data '{name: imagenet, root: data}'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The evaluation of a model. `--json` prints it with these names.

    Attributes:
        model, data: names.
        part: the part of the data, "test" or "val".
        fold, folds: None for data without folds.
        images: number of images in the part.
        trained_on: number of these images that the model was trained on; None if unknown.
        difference: between these data and those of the training; None if no image was trained on.
        accuracy: a fraction.
        accuracy_standard_error: binomial.
        loss: mean cross-entropy in nats.
        loops, executions: None for other models than SReT.
        resolution: pixels a side.
        precision: "float32", "bf16" for activations in bf16, or "int8" for weights that were
            rounded to int8 before they were computed with in float32.
        exits: of `--exit`; None without it.
    """

    model: str
    data: str
    part: str
    fold: int | None
    folds: int | None
    images: int
    trained_on: int | None
    difference: str | None
    accuracy: float
    accuracy_standard_error: float
    loss: float
    loops: int | None
    executions: int | None
    resolution: int
    precision: str
    seconds: float
    exits: EarlyExits | None = None


def parser(prog: str) -> argparse.ArgumentParser:
    """The parser of `evaluate`."""
    result = command_line(prog, _DESCRIPTION, _EXAMPLES)
    result.add_argument("model", metavar="MODEL")
    result.add_argument("--data", help="needed if the model's file does not name its data")
    result.add_argument(
        "--part",
        choices=("test", "val"),
        help="default: the part of the exported accuracy, or test",
    )
    result.add_argument(
        "--loops", type=positive, metavar="K", help="loops at which the weights run"
    )
    result.add_argument(
        "--resolution",
        type=positive,
        metavar="S",
        help="pixels a side; positions are interpolated",
    )
    result.add_argument(
        "--exit",
        type=exit_rule,
        metavar="SCORE:T,T",
        help="images leave where entropy or distance is at most T: entropy:0.1,0.3",
    )
    result.add_argument(
        "--precision",
        choices=("float32", "bf16", "int8"),
        help="of activations, or int8 of weights (default: as at the end of the training)",
    )
    result.add_argument("--batch", type=positive, help="images in a batch (64)")
    result.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    result.add_argument(
        "--seed", type=int, help="seed of models that draw permutations in evaluation (0)"
    )
    result.add_argument("--json", action="store_true", help="print a JSON object")
    return result


def main(argv: list[str], prog: str) -> None:
    """Print a table, or with --json an object.

    Raises:
        StudyError: model or data cannot be read, or do not fit each other or the options.
    """
    command = parser(prog)
    arguments = command.parse_args(argv)
    known = _known(arguments.model)
    kind, path = model_parts(arguments.model)
    for name, value in _usual(Path(path) if kind is None else None, known).items():
        if getattr(arguments, name, None) is None:
            setattr(arguments, name, value)
    if arguments.data is not None:
        data = read_data(arguments.data)
    elif known is not None:
        data = known.data
    else:
        command.error("the following arguments are required: --data")
    result = evaluated(arguments, data, known)
    if arguments.json:
        print(json.dumps(asdict(result), indent=1))
    else:
        _print(result)


def _known(name: str) -> Provenance | None:
    """The training that a model's file names; None if it names none.

    Raises:
        StudyError: there is no such model, or its file is damaged.
    """
    from sret_search.training.pretrained import PretrainedError, provenance

    try:
        return provenance(name)
    except PretrainedError as error:
        raise StudyError(str(error)) from None


def _usual(folder: Path | None, known: Provenance | None) -> dict[str, str | int]:
    """Default options of an evaluation.

    A trial is evaluated as at its end, an exported model with the settings of its accuracy.

    Raises:
        StudyError: the folder is an exported model's, and its file is damaged.
    """
    from sret_search.training.evaluation import BATCH

    usual: dict[str, str | int] = {"part": "test", "batch": 64, "seed": 0, "precision": "float32"}
    if known is not None:
        usual |= {"batch": BATCH, "seed": known.seed, "precision": known.precision}
    if folder is not None and (folder / EVALUATION).is_file():
        settings = EvaluationSettings.from_json(yaml_source.read(folder / EVALUATION).data)
        measured = {name: getattr(settings, name) for name in usual}
        usual |= {name: value for name, value in measured.items() if value is not None}
        usual["data"] = str(folder / STUDY)
    return usual


def read_data(text: str) -> Data:
    """The data of a study file, or of YAML on the command line.

    Raises:
        StudyError: there is no such file, or it has errors; the message lists all of them.
    """
    if not text.lstrip().startswith("{"):
        return load_study(text).file.data
    try:
        plain = yaml_source.parse(text, Path("--data")).data
        study = {"study": "evaluate", "space": "none", "data": plain}
        return check(StudyFile, SourceFile(Path("--data"), study)).data
    except StudyError as error:
        raise StudyError(Problem(f"--data: {p.message}") for p in error.problems) from None


def evaluated(arguments: argparse.Namespace, data: Data, known: Provenance | None) -> Evaluated:
    """Evaluate a model, and return the results with their settings.

    Raises:
        StudyError: model or data cannot be read, or do not fit each other or the options; or it
            cannot be known whether the model was trained on the images.
    """
    import torch

    from sret_search.model import SReT, rerun, resize, with_int8_weights
    from sret_search.training.data import DataError, difference, load, overlap, same_folds
    from sret_search.training.evaluation import evaluate, judge
    from sret_search.training.exits import early_exits, read_loops
    from sret_search.training.pretrained import PretrainedError, load_model

    name, loops, resolution = arguments.model, arguments.loops, arguments.resolution
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise StudyError("--device cuda: torch sees no GPU here")
    try:
        model = load_model(name)
        is_rounded, rule = arguments.precision == "int8", arguments.exit
        if isinstance(model, SReT):
            model = with_int8_weights(model) if is_rounded else model
            model = rerun(model, _at_loops(model.architecture, name, loops)) if loops else model
            model = resize(model, resolution) if resolution else model
            if rule and model.architecture.reads_all_loops:
                raise StudyError(f"--exit: the head of {name} reads all loops together")
            if rule and len(model.loop_ends) == 1:
                raise StudyError(f"--exit: the block of {name} that runs last does not loop")
        elif loops or resolution or rule or is_rounded:
            raise StudyError(
                "--loops, --resolution, --exit and --precision int8 are for SReT, but"
                f" {name} is not an SReT"
            )
        a = model.architecture if isinstance(model, SReT) else None
        needs = _IMAGENET if a is None else {field: getattr(a, field) for field in _IMAGENET}
        data = replace(data, image_size=needs["image_size"])
        if known is not None and same_folds(data, known.data):
            data = replace(data, fold=known.data.fold)
        split = load(data)
        for field, needed in needs.items():
            if (given := getattr(split, field)) != needed:
                message = f"{field} {given} in {split.where}, {needed} in the model"
                raise StudyError(f"{name} does not fit: {message}")
        seen = None
        if known is not None:
            seen = overlap(known.seen, data, arguments.part, split.uncut, split.contents)
        part = getattr(split, arguments.part).to(arguments.device)
        torch.manual_seed(arguments.seed)
        start = time.perf_counter()
        model, exits = model.to(arguments.device), None
        batch, precision = arguments.batch, "float32" if is_rounded else arguments.precision
        if rule and isinstance(model, SReT):
            score, thresholds = rule
            readings = read_loops(
                model, part, split.mean, split.std, score, batch=batch, precision=precision
            )
            result = judge(readings.logits, part.labels)
            exits = early_exits(score, thresholds, readings, part.labels)
        else:
            result = evaluate(model, part, split.mean, split.std, batch, precision)
    except (PretrainedError, DataError) as error:
        raise StudyError(str(error)) from None
    except ArchitectureError as error:
        raise StudyError(f"{name} cannot run with these options: {error}") from None
    return Evaluated(
        model=name,
        data=arguments.data or data.imagefolder or data.name,
        part=arguments.part,
        fold=None if data.folds is None else data.fold,
        folds=data.folds,
        images=len(part),
        trained_on=seen,
        difference=difference(known.seen, data) if known and seen else None,
        accuracy=result.accuracy,
        accuracy_standard_error=standard_error(result.accuracy, len(part)),
        loss=result.loss,
        loops=None if a is None else a.loops,
        executions=None if a is None else a.executions,
        resolution=needs["image_size"],
        precision=arguments.precision,
        seconds=time.perf_counter() - start,
        exits=exits,
    )


def _at_loops(a: Architecture, name: str, loops: int) -> Architecture:
    """The architecture that runs the same weights with `loops` loops.

    Raises:
        StudyError: no block loops, or loops have weights.
    """
    if a.loops == 1:
        raise StudyError(f"--loops {loops}: no block of {name} loops")
    at_depth = a.at_loops(loops)
    if at_depth.weights != a.weights:
        part = "an NLL" if a.nll.share == "execution" else "a part of its block (relax)"
        message = f"each loop of {name} has {part}, so it runs at {a.loops} loops only"
        raise StudyError(f"--loops {loops}: {message}")
    return at_depth


def _print(result: Evaluated) -> None:
    table = Table(title=result.model, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    error = 100 * result.accuracy_standard_error
    fold = f", fold {result.fold} of {result.folds}" if result.folds else ""
    table.add_row("images", f"{result.images:,} ({result.part}{fold})")
    table.add_row("accuracy", f"{100 * result.accuracy:.2f} ± {error:.2f} %")
    table.add_row("loss", f"{result.loss:.4f}")
    if result.executions:
        table.add_row("loops", f"{result.loops:,}")
        table.add_row("executions", f"{result.executions:,}")
    table.add_row("resolution", f"{result.resolution} pixels")
    table.add_row("precision", _PRECISIONS[result.precision])
    table.add_row("time", f"{result.seconds:.1f} s")
    console = Console()
    console.print(table)
    if result.exits is not None:
        console.print(exit_table(result.exits))
    console.print("± is a binomial standard error", style="dim")
    if result.trained_on:
        text = f"{result.trained_on:,} of these {result.images:,} images were trained on"
        console.print(f"{text} ({result.difference})", style="bold", soft_wrap=True)
    elif result.trained_on is None and model_parts(result.model)[0] is None:
        text = "the model's file does not name its training images: these may be among them"
        console.print(text, style="dim", soft_wrap=True)
