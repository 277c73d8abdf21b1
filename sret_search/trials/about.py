"""Records of the reason for a trial that is not of the search, one type for each role.

Their JSON is written and read only here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sret_search.planning.plan import Role


@dataclass(frozen=True, slots=True)
class TwinTrial:
    """The trial of a twin.

    Attributes:
        of: the name of the candidate that it is compared with.
        control: the kind of twin.
    """

    of: str
    control: str


@dataclass(frozen=True, slots=True)
class RateTrial:
    """A trial that tries a learning rate.

    Attributes:
        of: the name that its competitor has at the study's rate.
        lr: the rate.
        round: number of extensions of the competitor's grid before this rate; 0 for the grid
            itself.
    """

    of: str
    lr: float
    round: int


@dataclass(frozen=True, slots=True)
class ConfirmationTrial:
    """A trial that confirms a member of the Pareto front with a fresh seed.

    Attributes:
        of: the name of the member.
        on: the images that it trains on, "train" or "train+val".
    """

    of: str
    on: str


About = TwinTrial | RateTrial | ConfirmationTrial

_KINDS: Mapping[Role, type[About]] = {
    "twin": TwinTrial,
    "rate": RateTrial,
    "confirmation": ConfirmationTrial,
}


def to_dict(about: About | None) -> dict[str, Any]:
    """The record as the ledger stores it; an empty mapping for a trial of the search."""
    return {} if about is None else asdict(about)


def from_dict(role: Role, plain: Mapping[str, Any]) -> About | None:
    """Read the record of a role from JSON; None for a trial of the search, which has none.

    Raises:
        KeyError, TypeError: the data do not fit the role.
    """
    return None if role == "search" else _KINDS[role](**plain)
