"""The interface of samplers: their methods and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from sret_search.planning.plan import Role
from sret_search.space.candidate import Candidate
from sret_search.trials.about import About
from sret_search.trials.history import History

WAIT: Literal["wait"] = "wait"
"""The answer of a sampler that needs the results of open trials before it can choose."""


@dataclass(frozen=True)
class Ask:
    """A training that a sampler asks for.

    Attributes:
        seed: the index of the seed, from 0 to the study's `seeds` - 1. Trials that must not share
            their seeds have higher indices.
        role: the reason for the training.
        about: the relation of a twin, rate or confirmation to its candidate; None for a trial of
            the search.
        whole: whether it trains on the images of validation too.
    """

    candidate: Candidate
    seed: int
    role: Role = "search"
    about: About | None = None
    whole: bool = False


class Sampler(Protocol):
    """Asks for trials, one at a time.

    Its answer is a function of the study's seed and the history. So a sampler that is made anew
    gives the same answer.
    """

    def ask(self, history: History) -> Ask | Literal["wait"] | None:
        """The next training.

        Args:
            history: must be ready.

        Returns:
            None if no training is left; WAIT if the next one depends on an open trial.
        """
        ...


@runtime_checkable
class PredictiveSampler(Protocol):
    """A sampler that has a model of how trials will end."""

    def promising(self, history: History) -> list[str]:
        """Names of the candidates that are expected on the front, trained to their end or not.

        The list is empty while the sampler has no model.
        """
        ...


@runtime_checkable
class FrontSampler(Protocol):
    """A sampler that knows the front better than the results alone tell it."""

    def front(self, history: History) -> list[str]:
        """Names of the candidates on the front, among those that were trained to their end."""
        ...
