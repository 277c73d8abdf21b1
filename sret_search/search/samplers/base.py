"""What a sampler is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from sret_search.planning.plan import Role
from sret_search.space.candidate import Candidate
from sret_search.trials.about import About
from sret_search.trials.history import History

WAIT: Literal["wait"] = "wait"
"""The answer of a sampler that must see how trials end before it knows the next one."""


@dataclass(frozen=True)
class Ask:
    """A training that a sampler asks for.

    Attributes:
        seed: the index of the seed, from 0 to the study's `seeds` - 1; beyond them for trials
            that must not share their seeds.
        role: why it is trained.
        about: what the trial stands beside; None for one of the search.
        whole: train on the images of validation too.
    """

    candidate: Candidate
    seed: int
    role: Role = "search"
    about: About | None = None
    whole: bool = False


class Sampler(Protocol):
    """Asks for trials, one at a time.

    What it asks for is a function of the study's seed and the history: a sampler that is built
    anew asks for the same.
    """

    def ask(self, history: History) -> Ask | Literal["wait"] | None:
        """The next training; None where there is no more; WAIT where that cannot be said before
        an open trial has ended. The history must be ready."""
        ...


@runtime_checkable
class PredictiveSampler(Protocol):
    """A sampler that has a model of how trials will end."""

    def promising(self, history: History) -> list[str]:
        """The names of the candidates that are believed to be on the front, whether they were
        trained to their end or not; none where nothing is believed yet."""
        ...

    def front(self, history: History) -> list[str]:
        """The names of those among them that were trained to their end."""
        ...
