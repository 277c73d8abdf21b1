"""Verdicts on differences, with a known error rate over all comparisons of a kind.

The comparisons of a kind on a page are a family of tests. Their p-values are corrected together
(Holm, 1979), and only the corrected value decides. So at most one page in twenty has a false
verdict of a kind, however many comparisons it makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sret_search.reporting.formatting import bounds
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.standard_error import LEVEL, Spread, holm, interval, p_value

CLOSED = "declared after the results: test stays closed"
ONE_SEED = "one seed: no verdict"
LOST = "a seed diverged or failed: no verdict"
NO_DIFFERENCE = "no measurable difference"


@dataclass(frozen=True)
class Comparison:
    """A mean difference of accuracies, paired by seed, as a test of a family.

    Attributes:
        difference: difference as a fraction. None if no seed is complete on both sides, or if it
            may not be shown.
        interval: interval at 95 %, of this difference alone: over seeds, or over images with one
            seed.
        seeds: number of seeds that are complete on both sides.
        spread: spread of the difference. None with fewer than two seeds.
        p: two-sided p-value of no difference. None with fewer than two seeds.
        p_holm: p-value corrected over the family.
        tests: number of tests in the family.
        is_closed: whether it was declared when results were known. It then is outside the family,
            without a verdict.
        is_lost: whether a seed of either side diverged or failed, so that only lucky seeds remain.
            It counts in the family, without a verdict.
    """

    difference: float | None = None
    interval: Interval | None = None
    seeds: int = 0
    spread: Spread | None = None
    p: float | None = None
    p_holm: float | None = None
    tests: int = 0
    is_closed: bool = False
    is_lost: bool = False

    @classmethod
    def from_spread(cls, difference: float, spread: Spread) -> Comparison:
        """The test of a difference of accuracies over two or more seeds. Its interval ends at 100
        points, which no difference exceeds."""
        low, high = interval(difference, spread)
        limits = (max(low, -1.0), min(high, 1.0))
        return cls(difference, limits, spread.seeds, spread, p_value(difference, spread))

    @property
    def sign(self) -> int | None:
        """1 if the first side is better, -1 if it is worse, 0 if no difference is significant. None
        if there is no verdict."""
        if self.p_holm is None or self.difference is None or self.is_closed:
            return None
        if self.p_holm >= LEVEL:
            return 0
        return 1 if self.difference > 0 else -1

    @property
    def verdict(self) -> str:
        """The verdict on the first side against the second, in words."""
        if self.is_closed:
            return CLOSED
        if self.is_lost:
            return LOST
        if self.difference is None:
            return "not complete"
        if self.sign is None:
            return ONE_SEED
        return {1: "better", 0: NO_DIFFERENCE, -1: "worse"}[self.sign]

    def plain(self, name: str = "", difference: str = "difference") -> dict[str, Any]:
        """The test as plain data for JSON.

        Args:
            name: beginning of the other keys.
            difference: the key of the difference.
        """
        return {
            difference: self.difference,
            f"{name}interval": self.interval,
            f"{name}p": self.p,
            f"{name}p_holm": self.p_holm,
            "tests": self.tests,
        }


def family(tests: Sequence[Comparison], missing: int = 0) -> list[Comparison]:
    """The tests of a kind, corrected together.

    A test that cannot be made yet counts with a p-value of 1, so that the others do not look more
    certain while it is missing. A closed test does not count.

    Args:
        missing: number of tests that are still to be made.
    """
    places = [i for i, test in enumerate(tests) if not test.is_closed]
    p_values = [1.0 if (p := tests[i].p) is None else p for i in places] + [1.0] * missing
    corrected = list(tests)
    for i, p in zip(places, holm(p_values), strict=False):
        corrected_p = None if tests[i].p is None else p
        corrected[i] = replace(tests[i], p_holm=corrected_p, tests=len(p_values))
    return corrected


def certainty(test: Comparison, kind: str) -> str:
    """The p-value of a test in words, with the correction over its family.

    Args:
        kind: the comparisons of the family, in the plural.
    """
    if test.p is None or test.p_holm is None:
        return ""
    text = f"p {_p(test.p)}"
    if test.tests > 1:
        corrected = _p(test.p_holm).removeprefix("= ")
        text += f", {corrected} after Holm's correction over {test.tests} {kind}"
    return text


def certainty_note(test: Comparison, kind: str) -> str:
    """The interval and p-value of a difference, in brackets, to follow the difference."""
    interval = None if test.interval is None else f"95 % interval {bounds(test.interval)}"
    if interval is not None and test.seeds == 1:
        interval += " over images"
    conclusion = test.verdict if test.sign is None else certainty(test, kind)
    return f" ({conclusion if interval is None else f'{interval}; {conclusion}'})"


def verdict_note(test: Comparison, kind: str) -> str:
    """The interval and p-value of a difference, with its verdict if it has one."""
    return certainty_note(test, kind) + ("" if test.sign is None else f": {test.verdict}")


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"
