"""Where the trials of a study lie, one folder each, and how a model that is one of them is named."""

from __future__ import annotations

import re
from pathlib import Path

from sret_search.job.need import need

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


def check_name(key: str, name: str | None) -> None:
    """See that a model is named as a trial, or in a way that only looking for it can tell.

    Raises:
        ValueError: it is named as a trial without a number.
    """
    if name is not None and name.startswith("trial"):
        number = name.removeprefix("trial").strip()
        need(
            number.isdecimal() and name == f"{_TRIAL}{number}",
            f"`{key}: trial N` needs the number of a trial, but got {name!r}",
        )


def located(name: str, trials: Path) -> str:
    """The name of a model, where "trial N" is that trial's folder."""
    number = trial_named(name)
    return name if number is None else str(trial_folder(trials, number))
