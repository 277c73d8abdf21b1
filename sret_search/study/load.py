"""Read and check a whole study with its space, before anything starts."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from sret_search.architecture import Architecture
from sret_search.architecture.variants import VARIANTS
from sret_search.config import samplers, yaml_source
from sret_search.config.problems import Problem, StudyError, shown
from sret_search.config.space_file import Limit, SpaceFile
from sret_search.config.study_file import StudyFile
from sret_search.config.validation import check
from sret_search.config.yaml_source import SourceFile
from sret_search.errors import nearest
from sret_search.job import PHOTOGRAPH, RECIPES, data
from sret_search.job.paths import PathError, expanded, named_path
from sret_search.job.recipe import UNITS
from sret_search.space import axes
from sret_search.space.space import Space
from sret_search.study import comparison_rules, rules
from sret_search.study.description import StudyDescription
from sret_search.study.study import Study


def load_study(path: Path | str, *, calibrated: bool = True) -> Study:
    """Read a study file and the space that it names.

    Args:
        calibrated: whether seconds can be predicted here. If not, limits on seconds are ignored.

    Raises:
        StudyError: all problems of both files, with line and column.
    """
    path = named_path(str(path))
    return _checked(_with_recipe(yaml_source.read(path)), None, calibrated)


def with_calibration(study: Study) -> Study:
    """Check a study again after a calibration of this machine. It was read without limits on
    seconds. The sizes and contents of its data are kept.

    Raises:
        StudyError: all problems of both files, with line and column.
    """
    checked = _checked(study.source, study.space_source, calibrated=True)
    return checked if study.seen is None else checked.with_data(study.seen, study.contents)


def _checked(
    study_document: SourceFile, space_document: SourceFile | None, calibrated: bool
) -> Study:
    """Check both files and make a study of them.

    Args:
        space_document: the space file; None to read it.

    Raises:
        StudyError: all problems of both files, with line and column.
    """
    path = study_document.file
    problems: list[Problem] = []
    study_file = space_file = None
    try:
        study_file = check(StudyFile, study_document)
    except StudyError as error:
        problems += error.problems
    space_name = study_document.data.get("space")
    if isinstance(space_name, str):
        try:
            space_document = space_document or _read_space(path, space_name, study_document)
            space_file = check(SpaceFile, space_document)
        except StudyError as error:
            problems += error.problems
    if study_file is None or space_file is None or space_document is None:
        raise StudyError(problems)
    if not calibrated:
        budget = space_file.budget.model_copy(update={"seconds": Limit()})
        space_file = space_file.model_copy(update={"budget": budget})

    study_file = _sized(study_file, space_file.architecture.image_size)
    space = Space(space_file.architecture, study_file.recipe, space_file.axes, space_file.budget)
    space, wrong = axes.read(space, space_document)
    problems += wrong
    study = Study(study_document, space_document, study_file, space)
    problems += rules.home_problems(study, study_document)
    problems += rules.data_problems(study, space_document)
    if not problems:
        problems += rules.search_problems(study, study_document, space_document)
    if not problems:
        problems += rules.scheduler_problems(study, study_document)
    if not problems:
        problems += rules.length_problems(study, study_document)
    if not problems:
        problems += rules.depth_problems(study, study_document)
    if not problems:
        problems += rules.budget_problems(study, space_document)
    if not problems:
        problems += rules.feasibility_problems(study, space_document)
    if not problems:
        problems += comparison_rules.comparison_problems(study, study_document)
    if problems:
        raise StudyError(problems)
    return study


def check_budget(study: Study) -> None:
    """Check that a candidate fits the budget, once the number of training images is known.

    Raises:
        StudyError: no candidate fits, or a value is in no candidate that can be built.
    """
    problems = list(rules.feasibility_problems(study, study.space_source))
    if problems:
        raise StudyError(problems)


def load_architecture(name: str) -> Architecture:
    """Load a named variant, or the architecture of a YAML file, alone or in a space.

    Raises:
        StudyError: no such variant or file, or all problems of the file.
    """
    if name in VARIANTS:
        return VARIANTS[name]
    file = named_path(name)
    if not file.suffix and not os.path.exists(file):
        valid = nearest(name, VARIANTS)
        raise StudyError(f"{name} is neither a named architecture nor a file; {valid}")
    document = yaml_source.read(file)
    if "architecture" in document.data:
        return check(SpaceFile, _with_variant(document)).architecture
    return check(Architecture, document)


def recorded(study: Study, description: StudyDescription) -> Study:
    """Make a study from its description in a ledger. Its storage is that of the study file now.

    Limits on seconds are ignored: they depend on the machine, and the trained candidates were
    within them.

    Args:
        study: the study of the file as it is now.
        description: the description in the ledger.

    Raises:
        StudyError: this version cannot read the description.
    """
    kept = {"storage": study.file.storage.model_dump(mode="json")}
    stored = description.plain
    plain = {name: stored[name] for name in StudyFile.model_fields if name in stored}
    changed = {
        "data": data.as_written_now(description.data.fields),
        "search": samplers.as_written_now(stored["search"]),
    }
    file = check(StudyFile, SourceFile(study.path, plain | kept | changed))
    if "architecture" in stored:
        architecture = Architecture.from_dict(stored["architecture"])
    else:  # of an earlier version
        text = yaml_source.parse(stored["space_text"], study.path)
        architecture = check(SpaceFile, _with_variant(text)).architecture
    space = {
        "architecture": architecture.to_dict(),
        "axes": stored["axes"],
        "budget": {name: limit for name, limit in stored["budget"].items() if name != "seconds"},
    }
    space_file = check(SpaceFile, SourceFile(study.path, space))
    return Study(
        study.source,
        study.space_source,
        file,
        Space(architecture, file.recipe, space_file.axes, space_file.budget),
        seen=description.data.sizes,
        contents=description.contents,  # absent in earlier versions
    )


def _sized(file: StudyFile, image_size: int) -> StudyFile:
    """The study file, with `data.image_size` set for photographs of many sizes. Its default is
    the image size of the architecture."""
    data = file.data
    # At the usual size the field stays empty, since jobs of earlier versions do not have it.
    if data.source not in ("imagefolder", "imagenet") or image_size == PHOTOGRAPH:
        return file
    sized = replace(data, image_size=data.image_size or image_size)
    return file.model_copy(update={"data": sized})


def _read_space(path: Path, name: str, study_document: SourceFile) -> SourceFile:
    try:
        document = yaml_source.read(path.parent / expanded(name))
    except PathError as error:
        raise StudyError([study_document.problem(("space",), str(error))]) from None
    except StudyError as error:
        whole = error.problems[0]
        if whole.line is not None or whole.file is None:
            raise
        missing = whole.message.removeprefix("no such file")
        there = shown(whole.file)
        message = f"the space {there} {missing}"
        if missing != whole.message:
            message = f"no such space: {there}{missing}"
        raise StudyError([study_document.problem(("space",), message)]) from None
    return _with_variant(document)


def _with_recipe(document: SourceFile) -> SourceFile:
    """Replace the name of a recipe by the recipe, in place. Other keys of the file override it.

    Raises:
        StudyError: no recipe has this name.
    """
    given = document.data.get("recipe")
    named = given.pop("name", None) if isinstance(given, dict) else given
    if isinstance(named, str):
        if named not in RECIPES:
            unknown = f"unknown recipe {named!r}; {nearest(named, RECIPES)}"
            at_name = isinstance(given, dict)
            raise StudyError(
                [document.problem(("recipe", "name") if at_name else ("recipe",), unknown)]
            )
        changes = given if isinstance(given, dict) else {}
        base = dict(RECIPES[named])
        if set(UNITS) & set(changes):
            base.pop("epochs", None)
        document.data["recipe"] = base | changes
    return document


def _with_variant(document: SourceFile) -> SourceFile:
    """Replace the name of a variant by the variant, in place.

    Raises:
        StudyError: no variant has this name.
    """
    named = document.data.get("architecture")
    if isinstance(named, str):
        if named not in VARIANTS:
            unknown = f"unknown architecture {named!r}; {nearest(named, VARIANTS)}"
            raise StudyError([document.problem(("architecture",), unknown)])
        document.data["architecture"] = VARIANTS[named].to_dict()
    return document
