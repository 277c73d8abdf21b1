"""The fingerprint of the images of a data set, as plain data that is kept with the results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WORDS = {"train": "training", "val": "validation", "test": "test"}
"""Names of the parts in sentences."""
_SHOWN = 3
"""Differences that a message lists."""


@dataclass(frozen=True, slots=True)
class Group:
    """Images with a common fingerprint: those of a class folder in a part, or of a whole part.

    Attributes:
        part: "train", "val" or "test", as the data set comes.
        place: the folder, or another name for messages.
        images: the number of images.
        digest: hash of labels, files and sampled pixels, which tell these images from others.
    """

    part: str
    place: str
    images: int
    digest: str


@dataclass(frozen=True)
class Contents:
    """The fingerprint of a data set. A later run compares it with its own to detect changed images.

    Attributes:
        groups: all images, before any cut.
        folders: for a data set in folders, the folder of each of "train", "val" and "test", or the
            folder that it is cut from.
        cut: the parts that are cut from the folder of another part.
    """

    groups: tuple[Group, ...]
    folders: Mapping[str, str] = field(default_factory=dict)
    cut: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The folder of each part, in words; empty for a data set without folders."""
        if "test" in self.cut:
            return f"all parts are cut from {self.folders['train']}"
        return ", ".join(
            f"{WORDS[part]}: {'cut from ' if part in self.cut else ''}{folder}"
            for part, folder in self.folders.items()
        )

    @property
    def digest(self) -> str:
        """Hash of all groups, 16 hexadecimal digits."""
        groups = json.dumps(self.to_dict()["groups"])
        return hashlib.sha256(groups.encode()).hexdigest()[:16]

    def difference(self, before: Contents) -> str | None:
        """The first changes since an earlier fingerprint, in words; None if there are none."""
        then = {(group.part, group.place): group for group in before.groups}
        now = {(group.part, group.place): group for group in self.groups}
        if then == now:
            return None
        changes = []
        for key in sorted(then.keys() | now.keys()):
            old, new = then.get(key), now.get(key)
            if old is None or new is None or old.images != new.images:
                was, has = (0 if group is None else group.images for group in (old, new))
                changes.append(f"{key[1]} had {was:,} images and has {has:,}")
            elif old != new:
                changes.append(f"{key[1]} has other images than it had, {new.images:,} as before")
        more = [f"and {len(changes) - _SHOWN:,} more"] if len(changes) > _SHOWN else []
        return "; ".join(changes[:_SHOWN] + more)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        groups = [[g.part, g.place, g.images, g.digest] for g in self.groups]
        return {"groups": groups, "folders": dict(self.folders), "cut": list(self.cut)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Contents:
        """Build a fingerprint from the plain data of `to_dict`.

        Raises:
            KeyError: a key is missing.
        """
        groups = tuple(Group(*group) for group in plain["groups"])
        return cls(groups, plain["folders"], tuple(plain["cut"]))
