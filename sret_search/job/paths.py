"""Paths that a user writes: folders, URLs, models, trials of a study."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sret_search.architecture.variants import VARIANTS
from sret_search.errors import InputError, one_line, require

_TRIAL = re.compile(r"trial (\d+)")
_NEARLY_TRIAL = re.compile(r"trial(\s.*|\W?\d*)", re.DOTALL)


class PathError(InputError):
    """A path begins at a home folder that does not exist, or has a character that paths cannot
    have."""


def expanded(path: str) -> str:
    """The path with the home folder in place of a leading `~` or `~user`.

    Raises:
        PathError: there is no such home folder, or the path has a character U+0000.
    """
    if "\0" in path:
        raise PathError(f"{one_line(path)}: no path has the character U+0000")
    whole = os.path.expanduser(path)
    if whole.startswith("~"):
        head = path.partition("/")[0]
        raise PathError(
            f"{path}: there is no home folder {head}; write the whole path, or ./{head} for a file"
            " or folder of that name here"
        )
    return whole


def named_path(text: str) -> Path:
    """The path that a user wrote, `expanded`.

    Raises:
        PathError: it begins at a home folder that does not exist, or has a character U+0000.
    """
    path = Path(expanded(text))
    # A Path drops a leading ./ and its rest could be taken for a home folder.
    return path.absolute() if str(path).startswith("~") else path


def is_url(place: str) -> bool:
    """Whether a place is a URL instead of a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def path_below(place: str, name: str) -> str:
    """The path of an entry of a folder or URL. Parameters of a URL stay at its end."""
    if not is_url(place):
        return str(Path(place) / name)
    folder, mark, parameters = place.partition("?")
    return f"{folder.rstrip('/')}/{name}{mark}{parameters}"


def trial_name(number: int) -> str:
    """Name of a trial's folder."""
    return f"{number:05d}"


def trial_folder(trials: Path, number: int) -> Path:
    """Folder of a trial, inside the folder of all trials of its study."""
    return trials / trial_name(number)


def trial_named(name: str) -> int | None:
    """The number N of a model named "trial N"; None for other names."""
    match = _TRIAL.fullmatch(name)
    return None if match is None else int(match[1])


def check_name(key: str, name: str | None) -> None:
    """Check that a model's name is "trial N", or may be a path.

    Raises:
        ValueError: the name is empty, or begins like a trial's and has no number.
    """
    require(name != "", f"`{key}` needs the name of a model, but got an empty one")
    # A slash, a dot or a colon marks a path. The user can add ./ to a path without any.
    if name is not None and _NEARLY_TRIAL.fullmatch(name) and not set("/.:") & set(name):
        require(
            trial_named(name) is not None,
            f"`{key}: trial N` needs the number of a trial, but got {name!r};"
            " a folder of that name is written with ./ before it",
        )


def model_parts(name: str) -> tuple[str | None, str]:
    """Split the name of a model into the kind and the rest.

    Returns:
        "torchvision" or the name of a variant, and the text after the colon. Or None and the path
        of a file or folder, with its home folder written out. A name with a colon is a path if
        such a file exists, or if its first part is not a plain word.

    Raises:
        PathError: the path begins at a home folder that does not exist.
    """
    kind, colon, rest = name.partition(":")
    if kind == "torchvision" and colon:
        return kind, rest
    if colon and (kind in VARIANTS or (kind.isidentifier() and not os.path.exists(name))):
        return kind, expanded(rest)
    return None, str(named_path(name))


def located(name: str, trials: Path) -> str:
    """The name of a model, with the trial's folder in place of "trial N"."""
    number = trial_named(name)
    return name if number is None else str(trial_folder(trials, number))
