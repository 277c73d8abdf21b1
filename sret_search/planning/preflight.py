"""Checks of this machine before a study starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sret_search.config.problems import Problem, StudyError, shown
from sret_search.config.yaml_source import KeyPath, SourceFile
from sret_search.errors import encodable, one_line
from sret_search.job import Recipe
from sret_search.job.paths import PathError, is_url, located, model_parts, trial_named
from sret_search.machine.file_system import existing_above
from sret_search.machine.hardware import gpus
from sret_search.machine.processors import cpus
from sret_search.study.study import Study


def check(study: Study) -> None:
    """Check that the machine has the resources and weights of a study, and that its folders can be
    written.

    Nothing is written. The resources of a cluster are checked only after the connection to it.

    Raises:
        StudyError: all problems.
    """
    problems = [*_working_directory(), *_folders(study), *_models(study)]
    if study.file.compute.address == "local":
        problems += _resources(study)
    if problems:
        raise StudyError(problems)


def check_folders(study: Study) -> None:
    """Check that the folders of a study can be written.

    Raises:
        StudyError: all folders that cannot be written.
    """
    problems = _folders(study)
    if problems:
        raise StudyError(problems)


def _working_directory() -> Iterator[Problem]:
    here = os.getcwd()
    if encodable(here) != here:
        yield Problem(
            f"the name of the working directory, {one_line(here)}, is not UTF-8, and Ray does not"
            " start there: rename it, or run this in another folder"
        )


def _resources(study: Study) -> Iterator[Problem]:
    doc, compute = study.source, study.file.compute
    if compute.gpus_per_trial != "auto" and compute.gpus_per_trial > gpus():
        message = f"{compute.gpus_per_trial:g} GPUs for a trial, but this machine has {gpus()}"
        yield doc.problem(("compute", "gpus_per_trial"), message)
    if compute.cpus > cpus():
        message = f"{compute.cpus} CPUs for a trial, but this machine has {cpus()}"
        yield doc.problem(("compute", "cpus_per_trial"), message)


def _models(study: Study) -> Iterator[Problem]:
    """Find missing models from which a recipe starts or learns."""
    for doc, place, name in models(study):
        try:
            path = _weights(study, name)
        except PathError as error:
            yield doc.problem(place, str(error))
            continue
        if path is not None and not os.path.exists(path):
            message = f"no weights for {name!r}: {shown(path)} is not there"
            yield doc.problem(place, message)


def models(study: Study) -> Iterator[tuple[SourceFile, KeyPath, str]]:
    """Models from which recipes start or learn: file, path of the key, and name of the model."""
    doc = study.source
    recipes: list[tuple[KeyPath, Recipe]] = [(("recipe",), study.file.recipe)]
    recipes += [(("branches", i, "recipe"), b.recipe) for i, b in enumerate(study.file.branches)]
    for place, recipe in recipes:
        if recipe.init is not None:
            yield doc, (*place, "init"), recipe.init
        if recipe.distill is not None:
            yield doc, (*place, "distill", "teacher"), recipe.distill.teacher
    doc = study.space_source
    for path in ("recipe.init", "recipe.distill", "recipe.distill.teacher"):
        axis = study.space.axes.get(path)
        for i, choice in enumerate(axis.choices or [] if axis is not None else []):
            name = choice["teacher"] if isinstance(choice, dict) else choice
            if name is not None:
                yield doc, ("axes", path, "choices", i), name


def _weights(study: Study, name: str) -> Path | None:
    """File or folder of a named model; None for a model of torchvision, and for a trial in an
    object store, which the worker loads.

    Raises:
        PathError: the name is no valid path.
    """
    trials = study.trials_root
    if trial_named(name) is not None:
        return None if is_url(trials) else Path(located(name, Path(trials)))
    kind, rest = model_parts(name)
    return None if kind == "torchvision" else Path(rest)


def _folders(study: Study) -> list[Problem]:
    problems = []
    folders = [study.folder, study.report_folder]
    if not is_url(study.trials_root):
        folders.append(Path(study.trials_root))
    for folder in folders:
        try:
            folder.exists()
        except OSError as error:  # such as a name that is too long
            problems.append(Problem(f"cannot be a folder: {error.strerror}", folder))
            continue
        existing = existing_above(folder)
        if not existing.is_dir():
            problems.append(
                Problem(f"cannot be a folder, since {shown(existing)} is a file", folder)
            )
        elif not os.access(existing, os.W_OK | os.X_OK):
            problems.append(
                Problem(f"cannot be written: no permission in {shown(existing)}", folder)
            )
    return problems
