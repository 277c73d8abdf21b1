"""The contrasts that a study declares: differences of two values of an axis, and how sure they are."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sret_search.reporting.intervals import Interval
from sret_search.reporting.results import Results
from sret_search.reporting.spread import (
    OverBoth,
    OverSeeds,
    Spread,
    detectable,
    holm,
    interval,
    p_value,
    seeds_needed,
)
from sret_search.search.entry import Entry
from sret_search.study.candidate import Values
from sret_search.study.contrasts import idle, pairs
from sret_search.study.schema import Contrast
from sret_search.study.space_file import Axis

ASKED = 0.005
"""A difference for which the seeds are told, besides the one that was seen: half a point."""
_NONE = 1e-9
"""A difference that is none but for rounding."""


@dataclass(frozen=True)
class Tested:
    """A mean difference beside none.

    Attributes:
        freedom: degrees of freedom.
        p_holm: the p-value as all contrasts of the study together allow (Holm).
        detectable: the difference that so many seeds show in 80 % of studies.
        needed: seeds that show the difference that was seen, and those that show `ASKED`; None
            where no number would.
    """

    interval: Interval
    freedom: float
    p: float
    p_holm: float
    detectable: float
    needed: tuple[int | None, int | None]


@dataclass(frozen=True)
class Contrasted:
    """A contrast of test accuracies. Accuracies are means over pairs and seeds, in fractions.

    Attributes:
        of, against: the values of the axis, as the study has them.
        pairs: of candidates that differ in nothing else; lost: those of which one diverged or
            failed, which are left out.
        seeds: for which all pairs are complete.
        over_seeds: for these images; over_both: for other images too, where each image's outcome
            is known.
    """

    axis: str
    of: Any
    against: Any
    within: dict[str, Any]
    pairs: int
    lost: int
    seeds: int
    of_accuracy: float | None = None
    against_accuracy: float | None = None
    difference: float | None = None
    over_seeds: Tested | None = None
    over_both: Tested | None = None

    @property
    def name(self) -> str:
        """As the study has it."""
        text = f"{self.axis} {_written(self.of)} against {_written(self.against)}"
        within = (f"{path} {_written(value)}" for path, value in self.within.items())
        return f"{text}, within {', '.join(within)}" if self.within else text

    @property
    def tested(self) -> Tested | None:
        """The one that says most."""
        return self.over_both or self.over_seeds

    @property
    def verdict(self) -> str:
        """In words, what the value is beside the other."""
        if self.difference is None:
            return "not complete"
        if self.tested is None:
            return "one seed: no interval"
        if self.tested.p_holm >= 0.05:
            return "no measurable difference"
        return "better" if self.difference > 0 else "worse"


def contrasts(results: Results) -> list[Contrasted]:
    """Every contrast of the study, in its order."""
    if not results.contrasts:
        return []
    found = [_contrasted(results, contrast) for contrast in results.contrasts]
    for name in ("over_seeds", "over_both"):
        places = [i for i, one in enumerate(found) if getattr(one, name) is not None]
        corrected = holm([getattr(found[i], name).p for i in places])
        for i, p in zip(places, corrected, strict=True):
            found[i] = replace(found[i], **{name: replace(getattr(found[i], name), p_holm=p)})
    return found


def _contrasted(results: Results, contrast: Contrast) -> Contrasted:
    values, trials = _candidates(results)
    axes = {path: Axis(**plain) for path, plain in results.description["axes"].items()}
    every = pairs(contrast, values, axes, idle(contrast, values, results.study.space))
    failed = [any(e.state in ("diverged", "failed") for e in own.values()) for own in trials]
    kept = [pair for pair in every if not (failed[pair[0]] or failed[pair[1]])]
    complete = {entry.number for entry in results.complete}
    seeds = [
        {seed for seed, entry in own.items() if entry.number in complete} for own in trials
    ]  # by candidate
    both = sorted(set.intersection(*(seeds[i] & seeds[j] for i, j in kept))) if kept else []
    found = Contrasted(
        axis=contrast.axis,
        of=contrast.of,
        against=contrast.against,
        within=contrast.within,
        pairs=len(kept),
        lost=len(every) - len(kept),
        seeds=len(both),
    )
    if not both:
        return found
    of, against = (
        np.array([
            [trials[pair[side]][seed].result["test_accuracy"] for pair in kept] for seed in both
        ]) for side in (0, 1)
    )  # fmt: skip
    differences = (of - against).mean(1)
    mean = float(differences.mean())
    over_seeds = over_both = None
    if len(both) > 1:
        spread = OverSeeds.of(list(differences), results.images("test"), len(kept))
        over_seeds = _tested(mean, spread)
        images = _by_image(results, [[(trials[i][s], trials[j][s]) for i, j in kept] for s in both])
        if images is not None:
            over_both = _tested(mean, OverBoth.of(images, len(kept)))
    return replace(
        found,
        of_accuracy=float(of.mean()),
        against_accuracy=float(against.mean()),
        difference=mean,
        over_seeds=over_seeds,
        over_both=over_both,
    )


def _candidates(results: Results) -> tuple[list[Values], list[dict[int, Entry]]]:
    """The values of each candidate that the study asks for now, and its trials by their seeds.

    Of candidates with the same values the last is meant: those before it were trained at another
    learning rate, or with another recipe.
    """
    own = [e for e in results.entries if e.role == "search" and e.parent is None]
    keys = {entry.number: json.dumps(entry.values, sort_keys=True) for entry in own}
    now = {keys[entry.number]: entry.candidate for entry in own}
    found: dict[str, dict[int, Entry]] = {}
    for entry in own:
        if now[keys[entry.number]] == entry.candidate:
            found.setdefault(keys[entry.number], {})[entry.seed] = entry
    return [json.loads(key) for key in found], list(found.values())


def _by_image(results: Results, seeds: list[list[tuple[Entry, Entry]]]) -> np.ndarray | None:
    """The difference of each image, a mean over pairs (seeds, images); None where it is not known,
    or each seed has images of its own."""
    if results.description["data"]["folds"] is not None:
        return None
    entries = {entry.number: entry for own in seeds for pair in own for entry in pair}
    right = {number: results.right(entry, "test") for number, entry in entries.items()}
    images = results.images("test")
    known = {n: found.astype(float) for n, found in right.items() if found is not None}
    if len(known) < len(right) or any(len(found) != images for found in known.values()):
        return None
    return np.array(
        [
            np.mean([known[of.number] - known[against.number] for of, against in own], 0)
            for own in seeds
        ]
    )


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _tested(mean: float, spread: Spread) -> Tested:
    p = p_value(mean, spread)
    return Tested(
        interval=interval(mean, spread),
        freedom=spread.freedom(spread.seeds),
        p=p,
        p_holm=p,
        detectable=detectable(spread),
        needed=(
            seeds_needed(mean, spread) if abs(mean) > _NONE else None,
            seeds_needed(ASKED, spread),
        ),
    )
