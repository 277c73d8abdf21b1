"""The training that weights are from, as plain data that lies in their file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sret_search.job.data import Data


@dataclass(frozen=True, slots=True)
class Seen:
    """Images that weights were trained on: the training part of a data set, and that of
    validation too where the training was of the whole.

    Attributes:
        contents: `Contents.digest` of the data set then; empty where that was not kept.
    """

    data: Data
    whole: bool = False
    contents: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        plain = {"data": self.data.to_dict(), "whole": self.whole}
        return plain | ({"contents": self.contents} if self.contents else {})

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Seen:
        return cls(Data.from_dict(plain["data"]), plain["whole"], plain.get("contents", ""))


@dataclass(frozen=True, slots=True)
class Provenance:
    """The training that weights are from.

    Attributes:
        seen: what its own images were; after it, those of the models that it began with or learnt
            from.
        precision: of the evaluation at its end.
        seed: what a model that draws permutations drew from there.
    """

    seen: tuple[Seen, ...]
    precision: str
    seed: int

    @property
    def data(self) -> Data:
        """The data of the training itself."""
        return self.seen[0].data

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        seen = [each.to_dict() for each in self.seen]
        return {"seen": seen, "precision": self.precision, "seed": self.seed}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Provenance:
        seen = tuple(Seen.from_dict(each) for each in plain["seen"])
        return cls(seen, plain["precision"], plain["seed"])
