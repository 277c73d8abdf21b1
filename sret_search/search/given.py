"""What a study names that is the user's own, looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sret_search import importing
from sret_search.study import Study, StudyError, document
from sret_search.study.load import check_budget


def see(study: Study) -> Study:
    """The study with its data looked at, so that what is wrong with them, or with code that it
    names, is said before anything is trained.

    Raises:
        StudyError: code or files that are missing or cannot be read, or data that do not fit the
            architecture; or no training on so many images is within the budget.
    """
    _see_code(study)
    return _see_data(study)


def _see_code(study: Study) -> None:
    problems = []
    for doc, place, path in _named(study):
        try:
            importing.load(path)
        except importing.NotImportedError as error:
            problems.append(doc.problem(place, str(error)))
    if problems:
        raise StudyError(problems)


def _named(study: Study) -> Iterator[tuple[document.Document, document.Path, str]]:
    """The optimizers and losses that are import paths, and where they are named."""
    doc = document.read(study.path)
    for key, path in study.file.recipe.own.items():
        yield doc, ("recipe", key), path
    for i, branch in enumerate(study.file.branches):
        for key, path in branch.recipe.own.items():
            yield doc, ("branches", i, "recipe", key), path
    doc = document.read(study.path.parent / study.file.space)
    for name in ("recipe.optimizer", "recipe.loss"):
        axis = study.space.axes.get(name)
        for i, path in enumerate(axis.choices or [] if axis is not None else []):
            if path is not None and ":" in path:
                yield doc, ("axes", name, "choices", i), path


def _see_data(study: Study) -> Study:
    if study.file.data.source == "digits":  # known
        return study
    from sret_search.training import data

    try:
        split = data.load(study.file.data)
        data.check(split, study.space.architecture)
    except data.DataError as error:
        if study.file.data.is_imported:
            problem = document.read(study.path).problem(("data", error.key), str(error))
            raise StudyError([problem]) from None
        raise StudyError(f"{study.path}: {error}") from None
    seen = replace(study, seen=(len(split.train), len(split.val), len(split.test)))
    if study.sizes[0] != seen.sizes[0]:
        check_budget(seen)
    return seen
