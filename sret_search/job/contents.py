"""A fingerprint of the images of a data set, as plain data that is kept with the results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WORDS = {"train": "training", "val": "validation", "test": "test"}
"""The names of parts, for the reader."""
_SHOWN = 3
"""Differences that a line has."""


@dataclass(frozen=True, slots=True)
class Group:
    """Images that are looked at together: of one class folder of a part, or of a whole part.

    Attributes:
        part: "train", "val" or "test", as the set comes.
        place: the folder, or what else to name in an error.
        images: how many there are.
        digest: of what tells these images from others.
    """

    part: str
    place: str
    images: int
    digest: str


@dataclass(frozen=True)
class Contents:
    """The fingerprint of a data set: by it a later run sees whether images were changed.

    Attributes:
        groups: all of its images, before any cut.
        folders: of a data set in folders, the folder that each of "train", "val" and "test" is in,
            or is cut from.
        cut: the parts that are cut from another one's folder.
    """

    groups: tuple[Group, ...]
    folders: Mapping[str, str] = field(default_factory=dict)
    cut: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The folder of each part, for the reader; empty where there are none."""
        if "test" in self.cut:
            return f"all parts are cut from {self.folders['train']}"
        return ", ".join(
            f"{WORDS[part]}: {'cut from ' if part in self.cut else ''}{folder}"
            for part, folder in self.folders.items()
        )

    @property
    def digest(self) -> str:
        """A name of all of its images, another one as soon as any changes."""
        groups = json.dumps(self.to_dict()["groups"])
        return hashlib.sha256(groups.encode()).hexdigest()[:16]

    def difference(self, before: Contents) -> str | None:
        """The first changes since an earlier fingerprint, for the reader; None where there are none."""
        then = {(group.part, group.place): group for group in before.groups}
        now = {(group.part, group.place): group for group in self.groups}
        if then == now:
            return None
        told = []
        for key in sorted(then.keys() | now.keys()):
            old, new = then.get(key), now.get(key)
            if old is None or new is None or old.images != new.images:
                was, has = (0 if group is None else group.images for group in (old, new))
                told.append(f"{key[1]} had {was:,} images and has {has:,}")
            elif old != new:
                told.append(f"{key[1]} has other images than it had, {new.images:,} as before")
        more = [f"and {len(told) - _SHOWN:,} more"] if len(told) > _SHOWN else []
        return "; ".join(told[:_SHOWN] + more)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        groups = [[g.part, g.place, g.images, g.digest] for g in self.groups]
        return {"groups": groups, "folders": dict(self.folders), "cut": list(self.cut)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Contents:
        groups = tuple(Group(*group) for group in plain["groups"])
        return cls(groups, plain["folders"], tuple(plain["cut"]))
