"""Folders that are the parts of a data set, recognised by their names and contents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sret_search.job.contents import WORDS
from sret_search.training.data import walking
from sret_search.training.data.errors import DataError

_NAMES = {
    "train": ("train", "training", "trn", "learn", "learning"),
    "val": (
        "val", "valid", "validate", "validation", "validating", "dev", "devel", "development",
        "eval", "evaluate", "evaluation",
    ),
    "test": ("test", "testing", "tst", "holdout", "heldout"),
}  # fmt: skip
_PARTS = {name: part for part, names in _NAMES.items() for name in names}
_FILLERS = "(?:sets?|data|datasets?|images?|imgs?|pictures?|photos?|splits?|parts?|folders?|dir)"
_FILLER = re.compile(_FILLERS)
_JOINED = re.compile(f"({'|'.join(_PARTS)}){_FILLERS}")


def named_part(name: str) -> tuple[str | None, bool]:
    """The part that a folder's name contains, in any case, and whether it contains nothing else."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).casefold()
    words = [word for word in re.findall(r"[^\W\d_]+", apart) if not _FILLER.fullmatch(word)]
    words = [joined[1] if (joined := _JOINED.fullmatch(word)) else word for word in words]
    parts = {_PARTS[word] for word in words if word in _PARTS}
    return (parts.pop(), len(words) == 1) if len(parts) == 1 else (None, False)


def parts_of(path: Path) -> dict[str, str]:
    """The folder of each part, by its name below `path`; empty if the folders are classes.

    A part has class folders and no images beside them. A class has images.

    Raises:
        DataError: the folders can be read in both ways, or two of them are the same part.
    """
    names = walking.subfolders(path)
    spoken = {name: named_part(name) for name in names}
    exact = {name: part for name, (part, alone) in spoken.items() if part and alone}
    named = {name: part for name, (part, _) in spoken.items() if part}
    if not exact and len(set(named.values())) < 2:
        _refuse_parts_below(path, names)
        return {}
    class_folders = [n for n in names if n not in named and walking.has_image(path / n)]
    spoken_of = set(exact.values())
    # Classes may be named like parts: the vehicles bus, plane and train, each with images. But
    # beside train and test, a third folder is rather a part without labels.
    may_be_classes = class_folders and not ("train" in spoken_of and len(spoken_of) > 1)
    if may_be_classes and not any(_has_class_folders(path / name) for name in named):
        return {}
    parts: dict[str, str] = {}
    for name, part in named.items():
        if part in parts:
            raise DataError(
                _two_ways(path, names, f"{parts[part]}/ and {name}/ both as the {WORDS[part]} part")
                + f"leave only one of {parts[part]}/ and {name}/ there"
            )
        parts[part] = name
    if class_folders:
        raise DataError(
            _two_ways(path, names, f"{_roles(parts)}, and {_listed(class_folders)} left over")
            + f"put {_listed(class_folders)} elsewhere, or give {_listed(named)} another name"
        )
    if "train" not in parts:
        raise DataError(
            _two_ways(path, names, f"{_roles(parts)}, and nothing to train on")
            + f"add a folder train/, or give {_listed(named)} another name"
        )
    if len(parts) == 1:
        alone = parts["train"]
        raise DataError(
            _two_ways(path, names, f"{_roles(parts)}, without a test part")
            + f"add a folder test/ of the same classes, or name {path / alone}, which is then cut"
            " into training, validation and test"
        )
    return {part: parts[part] for part in _NAMES if part in parts}


def imagenet_parts(root: Path) -> dict[str, str]:
    """The folders of training and validation images of ILSVRC 2012. Other folders are ignored.

    Raises:
        DataError: a part has no folder, or more than one.
    """
    folders = {}
    names = walking.subfolders(root)
    for wanted in ("train", "val"):
        named = [name for name in names if named_part(name)[0] == wanted]
        if len(named) != 1:
            has = f"{_listed(named)} for it" if named else "none"
            raise DataError(f"{root} needs one folder {wanted}/, but has {has}")
        folders[wanted] = named[0]
    return folders


def _refuse_parts_below(path: Path, classes: list[str]) -> None:
    """Raise a DataError if a class folder has folders named like parts."""
    for name in classes:
        below = {n: p for n in walking.subfolders(path / name) if (p := _exact(n)) is not None}
        if len(set(below.values())) > 1:
            inside = f"{path / name} has {_listed(below)} in it, which are named as parts: "
            if len(classes) == 1:
                raise DataError(inside + f"name {path / name} itself")
            part = max(below, key=lambda folder: below[folder] == "train")
            raise DataError(
                inside + f"put parts above classes, as in {path / part / name}, or give these"
                " folders other names"
            )


def _exact(name: str) -> str | None:
    part, alone = named_part(name)
    return part if alone else None


def _has_class_folders(path: Path) -> bool:
    return any(walking.has_image(path / name) for name in walking.subfolders(path))


def _two_ways(path: Path, names: list[str], as_parts: str) -> str:
    return (
        f"{path} can be read in two ways: with {as_parts}; or with"
        f" {'the classes' if len(names) > 1 else 'the only class'} {_listed(names)}: "
    )


def _roles(parts: Mapping[str, str]) -> str:
    return ", ".join(f"{name}/ as the {WORDS[part]} part" for part, name in parts.items())


def _listed(names: Mapping[str, str] | list[str], most: int = 5) -> str:
    shown = [f"{name}/" for name in names]
    more = [f"{len(shown) - most:,} more"] if len(shown) > most else []
    shown = shown[:most] + more
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
