"""The contrasts that a study declares: differences of two values of an axis, with their
certainty."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sret_search.config.study_file import Contrast
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.standard_error import (
    LEVEL,
    OverBoth,
    OverSeeds,
    Spread,
    detectable,
    interval,
    p_value,
    seeds_needed,
)
from sret_search.reporting.statistics.verdict import Comparison, family
from sret_search.space.candidate import Values
from sret_search.space.contrasts import inert_axes, pairs, value_text
from sret_search.trials.trial import TrialRecord

EXPLORATORY = "declared after the results, exploratory, on validation"
HALF_POINT = 0.005
"""A difference for which the report gives the number of seeds, besides the measured one: half a
point."""
_NONE = 1e-9
"""A difference below which only rounding remains."""


@dataclass(frozen=True)
class Over:
    """The certainty of a difference, over seeds alone or over seeds and images.

    Attributes:
        interval: interval at 95 %, of this contrast alone.
        freedom: degrees of freedom.
        p: p-value of this contrast alone.
        detectable: the true difference that gets its verdict in 80 % of studies, at the first step
            of Holm's correction.
        needed: numbers of seeds with which the measured difference, and `HALF_POINT`, get a verdict.
            None if no number suffices.
    """

    interval: Interval
    freedom: float
    p: float
    detectable: float
    needed: tuple[int | None, int | None]


@dataclass(frozen=True)
class Contrasted:
    """A contrast. Accuracies are means over pairs and seeds, as fractions.

    Attributes:
        of, against: the two values of the axis, as the study writes them.
        pairs: number of pairs of candidates that differ in nothing else.
        lost: number of pairs that are left out, since a training diverged or failed.
        seeds: number of seeds with which all pairs are complete.
        part: part of the data: "test", or "val" if the contrast was declared after the results.
        over_seeds: certainty for these images.
        over_both: certainty for other images too. None if the outcome of each image is not known.
        tested: the test of the wider claim that is possible, corrected over all contrasts of the
            study.
    """

    axis: str
    of: Any
    against: Any
    within: dict[str, Any]
    pairs: int
    lost: int
    seeds: int
    part: str
    of_accuracy: float | None = None
    against_accuracy: float | None = None
    over_seeds: Over | None = None
    over_both: Over | None = None
    tested: Comparison = field(default_factory=Comparison)

    @property
    def name(self) -> str:
        """The contrast in words, as the study writes it."""
        text = f"{self.axis} {value_text(self.of)} against {value_text(self.against)}"
        within = (f"{path} {value_text(value)}" for path, value in self.within.items())
        return f"{text}, within {', '.join(within)}" if self.within else text

    @property
    def difference(self) -> float | None:
        """The mean difference of accuracies."""
        return self.tested.difference

    @property
    def certainty(self) -> Over | None:
        """The certainty of the wider claim that is possible."""
        return self.over_both or self.over_seeds

    @property
    def verdict(self) -> str:
        """The verdict on the value against the other, in words."""
        return EXPLORATORY if self.tested.is_closed else self.tested.verdict


def contrasts(results: Results) -> list[Contrasted]:
    """Every contrast of the study, in the order of the study."""
    if not results.study.file.contrasts:
        return []
    uncorrected = [_contrasted(results, contrast) for contrast in results.study.file.contrasts]
    tests = family([contrasted.tested for contrasted, *_ in uncorrected])
    return [
        replace(
            contrasted,
            tested=tested,
            over_seeds=_over(tested, over_seeds),
            over_both=_over(tested, over_both),
        )
        for (contrasted, over_seeds, over_both), tested in zip(uncorrected, tests, strict=True)
    ]


def _contrasted(
    results: Results, contrast: Contrast
) -> tuple[Contrasted, OverSeeds | None, OverBoth | None]:
    """A contrast before the correction, and its spreads."""
    values, trials = _candidates(results)
    axes = results.study.space.axes
    all_pairs = pairs(contrast, values, axes, inert_axes(contrast, values, results.study.space))
    failed = [
        any(e.state in ("diverged", "failed") for e in by_seed.values()) for by_seed in trials
    ]
    kept = [pair for pair in all_pairs if not (failed[pair[0]] or failed[pair[1]])]
    seeds = [
        {seed for seed, entry in by_seed.items() if entry.state == "complete"} for by_seed in trials
    ]  # per candidate
    shared_seeds = sorted(set.intersection(*(seeds[i] & seeds[j] for i, j in kept))) if kept else []
    compared = [[(trials[i][seed], trials[j][seed]) for i, j in kept] for seed in shared_seeds]
    is_closed = not results.is_declared(contrast) or paired.is_closed(
        results, [entry for of_seed in compared for pair in of_seed for entry in pair]
    )
    part = "val" if is_closed else "test"
    contrasted = Contrasted(
        axis=contrast.axis,
        of=contrast.of,
        against=contrast.against,
        within=contrast.within,
        pairs=len(kept),
        lost=len(all_pairs) - len(kept),
        seeds=len(shared_seeds),
        part=part,
        tested=Comparison(is_closed=is_closed),
    )
    if not shared_seeds:
        return contrasted, None, None
    first_accuracies, second_accuracies = (
        np.array([[pair[side].result.accuracy(part) for pair in of_seed] for of_seed in compared])
        for side in (0, 1)
    )
    differences = (first_accuracies - second_accuracies).mean(1)
    tested = Comparison(float(differences.mean()), seeds=len(shared_seeds))
    over_seeds = over_both = None
    if len(shared_seeds) > 1:
        over_seeds = OverSeeds.from_differences(list(differences), results.images(part), len(kept))
        images = None if is_closed else _by_image(results, compared)
        over_both = None if images is None else OverBoth.from_differences(images, len(kept))
        tested = Comparison.from_spread(float(differences.mean()), over_both or over_seeds)
    contrasted = replace(
        contrasted,
        of_accuracy=float(first_accuracies.mean()),
        against_accuracy=float(second_accuracies.mean()),
        tested=replace(tested, is_closed=is_closed),
    )
    return contrasted, over_seeds, over_both


def _candidates(results: Results) -> tuple[list[Values], list[dict[int, TrialRecord]]]:
    """The values of each candidate that the study asks for, and the candidate's trials by seed."""
    by_candidate: dict[str, dict[int, TrialRecord]] = {}
    for entry in results.comparable:
        by_candidate.setdefault(json.dumps(entry.values, sort_keys=True), {})[entry.seed] = entry
    return [json.loads(key) for key in by_candidate], list(by_candidate.values())


def _by_image(
    results: Results, seeds: list[list[tuple[TrialRecord, TrialRecord]]]
) -> np.ndarray | None:
    """The difference of each image, as a mean over pairs (seeds, images). None if it is not known,
    or if each seed has its own images."""
    if results.study.file.data.folds is not None:
        return None
    entries = {entry.number: entry for of_seed in seeds for pair in of_seed for entry in pair}
    right = {number: results.right(entry, "test") for number, entry in entries.items()}
    images = results.images("test")
    known_outcomes = {
        n: outcome.astype(float) for n, outcome in right.items() if outcome is not None
    }
    if len(known_outcomes) < len(right) or any(
        len(outcome) != images for outcome in known_outcomes.values()
    ):
        return None
    return np.array(
        [
            np.mean(
                [
                    known_outcomes[first.number] - known_outcomes[second.number]
                    for first, second in of_seed
                ],
                0,
            )
            for of_seed in seeds
        ]
    )


def _over(tested: Comparison, spread: Spread | None) -> Over | None:
    if spread is None or tested.difference is None:
        return None
    mean, level = tested.difference, LEVEL / max(tested.tests, 1)
    return Over(
        interval=interval(mean, spread),
        freedom=spread.seeds - 1,
        p=p_value(mean, spread),
        detectable=detectable(spread, level),
        needed=(
            seeds_needed(mean, spread, level) if abs(mean) > _NONE else None,
            seeds_needed(HALF_POINT, spread, level),
        ),
    )
