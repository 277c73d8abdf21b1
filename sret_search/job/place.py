"""Where the trials of a study lie, one folder each."""

from __future__ import annotations

import re
from pathlib import Path

from sret_search.job.recipe import Recipe

_TRIAL = "trial "


def is_url(place: str) -> bool:
    """Whether a place is given as a URL, and not as a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def beneath(place: str, name: str) -> str:
    """What lies in a folder, or in that of a URL, whose parameters stay behind it."""
    if not is_url(place):
        return str(Path(place) / name)
    folder, mark, parameters = place.partition("?")
    return f"{folder.rstrip('/')}/{name}{mark}{parameters}"


def trial_name(number: int) -> str:
    """The name of a trial's folder."""
    return f"{number:05d}"


def trial_folder(trials: Path, number: int) -> Path:
    """The folder of a trial, in that of all trials of its study."""
    return trials / trial_name(number)


def trial_named(name: str) -> int | None:
    """The N of a model that is named "trial N"; None where it is named otherwise."""
    return int(name.removeprefix(_TRIAL)) if name.startswith(_TRIAL) else None


def located(name: str, trials: Path) -> str:
    """The name of a model, where "trial N" is that trial's folder."""
    number = trial_named(name)
    return name if number is None else str(trial_folder(trials, number))


def trials_read(recipe: Recipe) -> list[int]:
    """The trials whose weights a training begins with, or learns from."""
    teacher = None if recipe.distill is None else recipe.distill.teacher
    found = [trial_named(name) for name in (recipe.init, teacher) if name is not None]
    return [number for number in found if number is not None]
