"""Checks of the user's data, code and models that a study names, before anything is trained."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sret_search import importing
from sret_search.config.problems import Problem
from sret_search.config.yaml_source import KeyPath, SourceFile
from sret_search.job import Data, Seen, located
from sret_search.job.paths import is_url, model_parts, trial_named
from sret_search.planning import preflight
from sret_search.study import Study, StudyError
from sret_search.study.load import check_budget


def check_inputs(study: Study) -> Study:
    """Load and check the data, code and models of a study.

    Returns:
        The study with the sizes and contents of its data.

    Raises:
        StudyError: code or files are missing or cannot be read, the data does not fit the
            architecture, no training on this number of images is within the budget, or a model
            was trained on images of validation or test.
    """
    _see_code(study)
    study = _see_data(study)
    _see_models(study)
    return study


def _see_code(study: Study) -> None:
    problems = []
    for doc, place, path in _named(study):
        try:
            importing.load(path)
        except importing.NotImportedError as error:
            problems.append(doc.problem(place, str(error)))
    if problems:
        raise StudyError(problems)


def _named(study: Study) -> Iterator[tuple[SourceFile, KeyPath, str]]:
    """Optimizers and losses that are import paths: file, path of the key, and import path."""
    doc = study.source
    for key, path in study.file.recipe.user_code.items():
        yield doc, ("recipe", key), path
    for i, branch in enumerate(study.file.branches):
        for key, path in branch.recipe.user_code.items():
            yield doc, ("branches", i, "recipe", key), path
    doc = study.space_source
    for name in ("recipe.optimizer", "recipe.loss"):
        axis = study.space.axes.get(name)
        for i, path in enumerate(axis.choices or [] if axis is not None else []):
            if path is not None and ":" in path:
                yield doc, ("axes", name, "choices", i), path


def _see_data(study: Study) -> Study:
    if study.file.data.source == "digits":  # known without loading
        return study
    from sret_search.training import data

    try:
        split = data.load(study.file.data)
        data.check(split, study.space.architecture)
    except data.DataError as error:
        message = str(error)
        if error.key == "image_size":
            size = study.space.architecture.image_size
            message += f"; `data.image_size: {size}` gives such images"
        raise StudyError([data_problem(study, message, error.key)]) from None
    notes = list(split.notes)
    if isinstance(split.train, data.StreamPart) and (why := data.no_workers()) is not None:
        notes.append(
            f"images are decoded in the training process, since no semaphore can be made ({why}):"
            " with a writable /dev/shm, workers decode them in parallel"
        )
    for note in notes:
        print(note, file=sys.stderr, flush=True)
    sizes = (len(split.train), len(split.val), len(split.test))
    seen = study.with_data(sizes, split.contents)
    if study.sizes[0] != seen.sizes[0]:
        check_budget(seen)
    return seen


def check_folders(study: Study) -> Study:
    """Check the data of a study if it is in folders of this machine. No image is opened.

    Returns:
        The study with the sizes and contents of its data, if these were read.

    Raises:
        StudyError: the data cannot be read or does not fit the architecture, or no training on
            this number of images is within the budget.
    """
    given = study.file.data
    path = given.imagefolder if given.source != "imagenet" else given.root
    here = path is not None and Path(os.path.expanduser(path)).is_dir()
    return _see_data(study) if here else study


def data_problem(study: Study, message: str, key: str = "name") -> Problem:
    """Make a problem at a key of `data`; for `name`, at the key that names the data."""
    doc = study.source
    given = doc.data.get("data", {})
    if key == "name":
        key = next((name for name in ("imagefolder", "root", "name") if name in given), key)
    return doc.problem(("data", key), message)


def _see_models(study: Study) -> None:
    problems = []
    for doc, place, name in preflight.models(study):
        if model_parts(name)[0] is None and (wrong := _seen_before(study, name)) is not None:
            problems.append(doc.problem(place, wrong))
    if problems:
        raise StudyError(problems)


def _seen_before(study: Study, name: str) -> str | None:
    """Reason why no training may start from a model or learn from it; None if all may."""
    from sret_search.training.data import DataError
    from sret_search.training.pretrained import PretrainedError, check_unseen, provenance

    trials, of_study = study.trials_root, trial_named(name) is not None
    try:
        known = None
        if not (of_study and is_url(trials)):
            known = provenance(located(name, Path(trials)))
        seen = known.seen if known is not None else (Seen(study.file.data),) * of_study
        check_unseen(name, seen, list(_cuts(study)))
    except (PretrainedError, DataError) as error:
        return str(error)
    return None


def _cuts(study: Study) -> Iterator[Data]:
    """Data of a study's trainings: with folds, the fold of each seed."""
    data, file = study.file.data, study.file
    seeds = file.search.seeds
    if data.folds is not None and (file.confirm or (file.arms and file.arms.lr)):
        seeds = data.folds
    for turn in range(min(seeds, data.folds or 1)):
        yield data if data.folds is None else replace(data, fold=(data.fold + turn) % data.folds)
