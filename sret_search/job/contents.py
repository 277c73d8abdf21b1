"""What a data set was seen to hold, as plain data that is kept with the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Contents:
    """What a data set was seen to hold.

    Attributes:
        folders: of a data set in folders, the folder that each of "train", "val" and "test" is in,
            or is cut from.
        cut: the parts that are cut from another one's folder.
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    cut: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The folder of each part, for the reader; empty where there are none."""
        words = {"train": "training", "val": "validation", "test": "test"}
        if "test" in self.cut:
            return f"all parts are cut from {self.folders['train']}"
        return ", ".join(
            f"{words[part]}: {'cut from ' if part in self.cut else ''}{folder}"
            for part, folder in self.folders.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        return {"folders": dict(self.folders), "cut": list(self.cut)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Contents:
        return cls(plain["folders"], tuple(plain["cut"]))
