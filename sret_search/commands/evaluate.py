"""`sret-search evaluate MODEL --data DATA`: how well a trained model does on a data set."""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sret_search.architecture import Architecture, ArchitectureError
from sret_search.artifacts.names import EVALUATION, STUDY
from sret_search.commands.arguments import command_line, positive
from sret_search.config import yaml_source
from sret_search.config.problems import Problem
from sret_search.config.study_file import StudyFile
from sret_search.config.validation import check
from sret_search.config.yaml_source import SourceFile
from sret_search.job import Data, Provenance
from sret_search.job.paths import model_parts
from sret_search.study import StudyError, load_study

_DESCRIPTION = """\
Evaluate a trained model on the test part (or the validation part) of a data set.

MODEL is one of
  exported                    what `sret-search export` wrote: as its accuracy was measured
  runs/STUDY/trials/00003     a trial, or one attempt of it
  model.safetensors           a file of this project
  sret_t:SReT_T.pth           an official checkpoint, after the name of its variant
  torchvision:resnet18        a model of torchvision, downloaded once
DATA is a study file, or its `data` section inline: '{name: imagenet, root: /data/imagenet}'.
Left out, it is what the model was trained on, where its file says so: a trial's own data, split and
fold. Of a study with folds, the trial's own fold is taken. Of another split of the same data set,
images that were trained on are counted, and said to be there.
Images are resized to what the model takes.
"""
_IMAGENET = {"classes": 1000, "in_channels": 3, "image_size": 224}
"""What torchvision's models were trained for."""
_EXAMPLES = """\
evaluate exported
evaluate runs/smoke/trials/00000 --loops 50
evaluate sret_t:SReT_T.pth --data '{name: imagenet, root: data}'"""


def parser(prog: str) -> argparse.ArgumentParser:
    """The command line of `evaluate`."""
    result = command_line(prog, _DESCRIPTION, _EXAMPLES)
    result.add_argument("model", metavar="MODEL")
    result.add_argument("--data", help="needed, where the model does not say")
    result.add_argument("--part", choices=("test", "val"), help="test, if the model does not say")
    result.add_argument("--loops", type=positive, metavar="K", help="run the same weights so often")
    result.add_argument(
        "--resolution",
        type=positive,
        metavar="S",
        help="pixels a side; positions are interpolated",
    )
    result.add_argument("--batch", type=positive, help="images at a time (64)")
    result.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    result.add_argument(
        "--seed", type=int, help="of models that draw permutations in evaluation (0)"
    )
    result.add_argument("--json", action="store_true", help="print one JSON object")
    return result


def main(argv: list[str], prog: str) -> None:
    """Print a table, or with --json one object.

    Raises:
        StudyError: model or data cannot be had, or do not fit each other or the options.
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
    facts = evaluated(arguments, data, known)
    if arguments.json:
        print(json.dumps(facts, indent=1))
    else:
        _print(facts)


def _known(name: str) -> Provenance | None:
    """What a model's file says of its training; None where it says nothing.

    Raises:
        StudyError: there is no such model, or its file is damaged.
    """
    from sret_search.training.pretrained import PretrainedError, provenance

    try:
        return provenance(name)
    except PretrainedError as error:
        raise StudyError(str(error)) from None


def _usual(folder: Path | None, known: Provenance | None) -> dict[str, Any]:
    """How a model is evaluated where nothing else is said: a trial as it was at its end, an
    exported one as it was when its accuracy was measured.

    Raises:
        StudyError: the folder is an exported model's, and its file is damaged.
    """
    from sret_search.training.evaluation import BATCH

    usual = {"part": "test", "batch": 64, "seed": 0, "precision": "float32"}
    if known is not None:
        usual |= {"batch": BATCH, "seed": known.seed, "precision": known.precision}
    if folder is not None and (folder / EVALUATION).is_file():
        measured = yaml_source.read(folder / EVALUATION).data
        usual |= {name: measured[name] for name in usual if name in measured}
        usual["data"] = str(folder / STUDY)
    return usual


def read_data(text: str) -> Data:
    """The data of a study file, or of YAML on the command line.

    Raises:
        StudyError: there is no such file, or everything that is wrong in it.
    """
    if not text.lstrip().startswith("{"):
        return load_study(text).file.data
    try:
        plain = yaml_source.parse(text, Path("--data")).data
        study = {"study": "evaluate", "space": "none", "data": plain}
        return check(StudyFile, SourceFile(Path("--data"), study)).data
    except StudyError as error:
        raise StudyError(Problem(f"--data: {p.message}") for p in error.problems) from None


def evaluated(
    arguments: argparse.Namespace, data: Data, known: Provenance | None
) -> dict[str, Any]:
    """What was evaluated, and how well it does, as plain data.

    Raises:
        StudyError: model or data cannot be had, or do not fit each other or the options; or
            whether the model was trained on the images cannot be told.
    """
    import torch

    from sret_search.model import SReT, rerun, resize
    from sret_search.training.data import DataError, difference, load, overlap, same_folds
    from sret_search.training.evaluation import evaluate
    from sret_search.training.pretrained import PretrainedError, load_model

    name, loops, resolution = arguments.model, arguments.loops, arguments.resolution
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise StudyError("--device cuda: torch sees no GPU here")
    try:
        model = load_model(name)
        if isinstance(model, SReT):
            model = rerun(model, _at_loops(model.architecture, name, loops)) if loops else model
            model = resize(model, resolution) if resolution else model
        elif loops or resolution:
            raise StudyError(f"--loops and --resolution are for SReT, which {name} is not")
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
        result = evaluate(
            model.to(arguments.device), part, split.mean, split.std,
            arguments.batch, arguments.precision,
        )  # fmt: skip
    except (PretrainedError, DataError) as error:
        raise StudyError(str(error)) from None
    except ArchitectureError as error:
        raise StudyError(f"{name} cannot run so: {error}") from None
    return {
        "model": name,
        "data": arguments.data or data.imagefolder or data.name,
        "part": arguments.part,
        "fold": None if data.folds is None else data.fold,
        "folds": data.folds,
        "images": len(part),
        "trained_on": seen,
        "difference": difference(known.seen, data) if known and seen else None,
        "accuracy": result.accuracy,
        "accuracy_standard_error": math.sqrt(result.accuracy * (1 - result.accuracy) / len(part)),
        "loss": result.loss,
        "loops": None if a is None else a.loops,
        "executions": None if a is None else a.executions,
        "resolution": needs["image_size"],
        "seconds": time.perf_counter() - start,
    }


def _at_loops(a: Architecture, name: str, loops: int) -> Architecture:
    """What runs the same weights so often."""
    if a.loops == 1:
        raise StudyError(f"--loops {loops}: no block of {name} loops")
    other = a.at_loops(loops)
    if other.weights != a.weights:
        owned = "an NLL" if a.nll.share == "execution" else "a part of its block (relax)"
        message = f"each loop of {name} owns {owned}, so that it runs at {a.loops} loops only"
        raise StudyError(f"--loops {loops}: {message}")
    return other


def _print(facts: dict[str, Any]) -> None:
    table = Table(title=facts["model"], title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    error = 100 * facts["accuracy_standard_error"]
    fold = f", fold {facts['fold']} of {facts['folds']}" if facts["folds"] else ""
    table.add_row("images", f"{facts['images']:,} ({facts['part']}{fold})")
    table.add_row("accuracy", f"{100 * facts['accuracy']:.2f} ± {error:.2f} %")
    table.add_row("loss", f"{facts['loss']:.4f}")
    if facts["executions"]:
        table.add_row("loops", f"{facts['loops']:,}")
        table.add_row("executions", f"{facts['executions']:,}")
    table.add_row("resolution", f"{facts['resolution']} pixels")
    table.add_row("time", f"{facts['seconds']:.1f} s")
    console = Console()
    console.print(table)
    console.print("± is one binomial standard error", style="dim")
    if facts["trained_on"]:
        text = f"{facts['trained_on']:,} of these {facts['images']:,} images were trained on"
        console.print(f"{text} ({facts['difference']})", style="bold", soft_wrap=True)
    elif facts["trained_on"] is None and model_parts(facts["model"])[0] is None:
        text = "the model's file does not say what it was trained on: it may have seen these images"
        console.print(text, style="dim", soft_wrap=True)
