"""The effect of each execution in monitored trials, from their files or a packed ledger."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from sret_search.artifacts.names import DEPTH
from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.training.results import DepthMetrics

_DIGITS = 4
"""Significant digits of the numbers. A packed ledger has no more, and reports must not differ."""


class DepthRecords(Protocol):
    """The effect of each execution, by trial."""

    def last(self, number: int) -> DepthMetrics | None:
        """The entry of a trial's last recorded epoch, to four digits; None if it has none."""


@dataclass(frozen=True)
class DepthFiles:
    """Records from the files of trials.

    Attributes:
        attempts: of each trial, oldest first.
    """

    folders: TrialFolders
    attempts: Mapping[int, Sequence[str]]

    def last(self, number: int) -> DepthMetrics | None:
        for attempt in reversed(self.attempts.get(number, [])):
            # A damaged file counts as absent.
            with suppress(OSError, ValueError, LookupError, TypeError):
                entries = json.loads(self.folders.open(attempt, DEPTH).read())
                return read(entries[-1])
        return None


@dataclass(frozen=True)
class KnownRecords:
    """Records in memory, by trial."""

    by_trial: Mapping[int, DepthMetrics] = field(default_factory=dict)

    def last(self, number: int) -> DepthMetrics | None:
        return self.by_trial.get(number)


def read(plain: Mapping[str, Any]) -> DepthMetrics:
    """Read an entry of `depth.json`, with numbers to four digits.

    Raises:
        LookupError, TypeError, ValueError: it is damaged, or a number is not finite.
    """
    given = DepthMetrics.from_dict(plain)
    executions = len(given.updates)
    lengths = {len(given.gradient_shares), len(given.angles), len(given.distances)}
    if lengths - {0, executions} or len(given.read_after) != len(given.accuracies):
        raise ValueError("its lists have different lengths")
    return DepthMetrics(
        epoch=int(given.epoch),
        updates=[_rounded(value) for value in given.updates],
        gradient_shares=[_rounded(value) for value in given.gradient_shares],
        angles=[None if value is None else _rounded(value) for value in given.angles],
        distances=[_rounded(value) for value in given.distances],
        read_after=[int(value) for value in given.read_after],
        accuracies=[_rounded(value) for value in given.accuracies],
    )


def _rounded(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return float(f"{value:.{_DIGITS}g}")
