"""The training that produced a model's weights, as plain data inside their file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sret_search.job.data import Data


@dataclass(frozen=True, slots=True)
class Seen:
    """Images that weights were trained on: the training part of a data set, and with `whole` the
    validation part too.

    Attributes:
        data: the data set and its split.
        whole: whether validation images were trained on.
        contents: `Contents.digest` of the data set at that time; empty if it was not kept.
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
        """Build from the plain data of `to_dict`.

        Raises:
            KeyError: a key is missing.
            ValueError: a field of the data is outside its range.
        """
        return cls(Data.from_dict(plain["data"]), plain["whole"], plain.get("contents", ""))


@dataclass(frozen=True, slots=True)
class Provenance:
    """The training that produced a model's weights.

    Attributes:
        seen: images of the training itself, then those of the models that it started from or learnt
            from.
        precision: precision of the evaluation at its end.
        seed: seed of that evaluation, for a model that draws permutations.
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
        seen = [images.to_dict() for images in self.seen]
        return {"seen": seen, "precision": self.precision, "seed": self.seed}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Provenance:
        """Build from the plain data of `to_dict`.

        Raises:
            KeyError: a key is missing.
            ValueError: a field of the data is outside its range.
        """
        seen = tuple(Seen.from_dict(images) for images in plain["seen"])
        return cls(seen, plain["precision"], plain["seed"])
