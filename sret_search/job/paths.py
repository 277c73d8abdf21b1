"""Places that a user names: folders, the trials of a study, models."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sret_search.architecture.variants import VARIANTS
from sret_search.errors import InputError, one_line
from sret_search.job.require import require

_TRIAL = re.compile(r"trial (\d+)")
_NEARLY_TRIAL = re.compile(r"trial(\s.*|\W?\d*)", re.DOTALL)


class PathError(InputError):
    """A path begins at a home folder that there is not, or has a character that no path has."""


def expanded(path: str) -> str:
    """A path with the home folder in place of a `~` at its beginning, or of `~user`.

    Raises:
        PathError: there is no such home folder, or the path has a character U+0000.
    """
    if "\0" in path:
        raise PathError(f"{one_line(path)}: no path has the character U+0000")
    found = os.path.expanduser(path)
    if found.startswith("~"):
        head = path.partition("/")[0]
        raise PathError(
            f"{path}: there is no home folder {head}; write the whole path, or ./{head} for a file"
            " or folder of that name here"
        )
    return found


def named_path(text: str) -> Path:
    """The path that a user writes so, `expanded`.

    Raises:
        PathError: it begins at a home folder that there is not.
    """
    path = Path(expanded(text))
    # A Path has no ./ at its beginning: what is left must not be taken for a home folder.
    return path.absolute() if str(path).startswith("~") else path


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
    found = _TRIAL.fullmatch(name)
    return None if found is None else int(found[1])


def check_name(key: str, name: str | None) -> None:
    """See that a model is named as a trial, or in a way that only looking for it can tell.

    Raises:
        ValueError: it has no name, or is named as a trial without a number.
    """
    require(name != "", f"`{key}` needs the name of a model, but got an empty one")
    # A path is known by a slash or a dot, and one without can be given both.
    if name is not None and _NEARLY_TRIAL.fullmatch(name) and not set("/.:") & set(name):
        require(
            trial_named(name) is not None,
            f"`{key}: trial N` needs the number of a trial, but got {name!r};"
            " a folder of that name is written with ./ before it",
        )


def model_parts(name: str) -> tuple[str | None, str]:
    """Split the name of a model: "torchvision" or the name of a variant, and the text after the
    colon; or None and the path of a file or a folder, its home folder written out.

    A path may have a colon: one of which the first part is no plain word, or that is there.

    Raises:
        PathError: the path begins at a home folder that there is not.
    """
    kind, colon, rest = name.partition(":")
    if kind == "torchvision" and colon:
        return kind, rest
    if colon and (kind in VARIANTS or (kind.isidentifier() and not os.path.exists(name))):
        return kind, expanded(rest)
    return None, str(named_path(name))


def located(name: str, trials: Path) -> str:
    """The name of a model, where "trial N" is that trial's folder."""
    number = trial_named(name)
    return name if number is None else str(trial_folder(trials, number))
