"""Pages of made-up studies of a known truth: the noise of their trials, and how they are drawn.

`null_studies.py` says what the noise is, and where it is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from ledgers import Described, complete, ended
from scipy import special

from sret_search.reporting.analyses.arms import Arm, arms
from sret_search.reporting.analyses.confirmation import Confirmed, confirmed
from sret_search.reporting.analyses.contrasts.numbers import Contrasted, contrasts
from sret_search.reporting.analyses.depth.numbers import Depth, depths
from sret_search.reporting.analyses.elastic.numbers import Elastic, elastics
from sret_search.reporting.analyses.importances import Importances, axis_importances
from sret_search.reporting.analyses.scaling.iso_cost import Slice, slices
from sret_search.reporting.analyses.scaling.laws import Scaling, scaling
from sret_search.reporting.analyses.twins import Pair, pairs
from sret_search.reporting.recommendation import Answer, answer
from sret_search.reporting.results import Results
from sret_search.training.results import RerunResult
from sret_search.trials.trial import TrialRecord

SEEDS = 1, 2, 3, 5, 10
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Noise:
    """How accuracies of trainings that are equally good differ.

    Attributes:
        shared, own: standard deviations in points.
        of_image: part of the variance of an image's outcome that is the image's.
        slope: standard deviation over seeds of the change of log loss with a doubling of executions.
    """

    accuracy: float
    shared: float
    own: float
    of_image: float
    slope: float = 0.0

    @property
    def deviations(self) -> tuple[float, float]:
        """Those of the shared and the own part, in log odds."""
        per = 100 * self.accuracy * (1 - self.accuracy)
        return self.shared / per, self.own / per


NOISE = {
    "97 %": Noise(0.97, 0.66, 0.20, 0.5),
    "92 %": Noise(0.92, 0.98, 0.37, 0.5),
    "80 %": Noise(0.80, 7.2, 4.1, 0.33),
    "97 %, slopes": Noise(0.97, 0.66, 0.20, 0.5, slope=0.01),
}


@dataclass(frozen=True)
class Network:
    """Weights at one depth: those of a trial as it was trained, or one of its reruns.

    Attributes:
        entry: the place of the trial; rerun: that among its reruns.
        seed: the place of its seed.
    """

    entry: int
    rerun: int | None
    seed: int
    executions: int


@dataclass(frozen=True)
class Page:
    """What a report says of one made-up study, each part worked out when it is asked for.

    Attributes:
        truth: of each network and part, by trial and rerun: the accuracy that its intervals are for.
    """

    results: Results
    truth: Callable[[int, int | None, str], float]

    @cached_property
    def contrasts(self) -> list[Contrasted]:
        return contrasts(self.results)

    @cached_property
    def depths(self) -> list[Depth]:
        return depths(self.results)

    @cached_property
    def arms(self) -> list[Arm]:
        return arms(self.results)

    @cached_property
    def pairs(self) -> list[Pair]:
        return pairs(self.results)

    @cached_property
    def elastics(self) -> list[Elastic]:
        return elastics(self.results)

    @cached_property
    def confirmed(self) -> list[Confirmed]:
        return confirmed(self.results)

    @cached_property
    def slices(self) -> list[Slice]:
        return [*slices(self.results, "params"), *slices(self.results, "macs")]

    @cached_property
    def scaling(self) -> Scaling:
        return scaling(self.results)

    @cached_property
    def importances(self) -> Importances | None:
        return axis_importances(self.results)

    @cached_property
    def answer(self) -> Answer:
        found = answer(self.results)
        assert found is not None
        return found


Says = Callable[[Page], list[bool]]
"""Whether a page makes a claim, or whether each of its intervals holds its truth; nothing where a page
has neither."""


@dataclass(frozen=True)
class Claim:
    """One kind of claim, or of interval.

    Attributes:
        kind: "false" where what it says is not so; "found" where it is; "holds" of intervals.
        says: whether pages claim it, or whether each of their intervals holds its truth.
        points: the true effects that pages are simulated with for it, as fractions.
        every: it is looked at on one page in so many, where it takes long.
    """

    name: str
    kind: Literal["false", "found", "holds"]
    says: Says
    points: tuple[float, ...] = (0.0,)
    every: int = 1


@dataclass(frozen=True)
class Design:
    """Studies that are alike but for what their trials reached.

    Attributes:
        space, study: the text of its files, the latter with SEEDS in it.
        claims: that its pages make.
        worse: the part of a true effect by which it makes a network worse.
        noise: the settings that its pages take in turn.
        parts: of the data, that its pages read.
        on_front: the results of the search are given out so that all candidates are on the front.
        of_arm: part of the variance of an image's outcome that is of candidate and image.
        seeds: numbers of seeds that it is simulated with.
        pages: of each hundred that are asked for.
        long: it is left out where time is short.
    """

    name: str
    space: str
    study: str
    claims: tuple[Claim, ...]
    worse: Callable[[TrialRecord, Network], float] = lambda entry, network: 0.0
    noise: tuple[str, ...] = ("97 %", "92 %", "80 %")
    parts: tuple[str, ...] = ("val", "test")
    on_front: bool = False
    of_arm: float = 0.0
    seeds: tuple[int, ...] = SEEDS
    pages: int = 100
    long: bool = False

    def with_seeds(self, seeds: int) -> Simulated:
        """The study with so many seeds, its trials begun."""
        text = self.study.replace("SEEDS", str(seeds)).replace("TRIALS", str(60 * seeds))
        described = Described.of(self.space, text)
        rank = iter(range(1, 100_000))
        # Rising with parameters, so that a front has all; candidates of a grid come dearest first.
        begun = described.run(lambda _: complete(v := 0.9 - next(rank) * 1e-6, v))
        return Simulated(self, described, begun)


class Simulated:
    """Pages of one design with one number of seeds."""

    def __init__(self, design: Design, described: Described, begun: list[TrialRecord]) -> None:
        self.design, self.described, self._begun = design, described, begun
        for entry in begun:
            entry.job  # noqa: B018  parsed once, for all pages
        seeds = {seed: i for i, seed in enumerate(sorted({entry.seed for entry in begun}))}
        names = {name: i for i, name in enumerate(dict.fromkeys(e.candidate for e in begun))}
        self._networks = [
            Network(i, rerun, seeds[entry.seed], architecture.executions)
            for i, entry in enumerate(begun)
            for rerun, architecture in [
                (None, entry.job.architecture),
                *enumerate(entry.job.reruns),
            ]
        ]
        self._place = {(n.entry, n.rerun): i for i, n in enumerate(self._networks)}
        self._own = np.array([n.entry for n in self._networks])
        self._reruns = np.array([n.rerun is not None for n in self._networks])
        self._seed = np.array([n.seed for n in self._networks])
        self._candidate = np.array([names[begun[n.entry].candidate] for n in self._networks])
        self._doublings = np.log2([n.executions for n in self._networks])
        self._doublings -= self._doublings.mean()
        self._worse = np.array([design.worse(begun[n.entry], n) for n in self._networks], float)
        self._folds = described.description.data.folds
        self._sizes = dict(zip(("val", "test"), described.study.sizes[1:], strict=True))
        self._by_image = bool(described.study.file.contrasts)
        searched = [i for i, entry in enumerate(begun) if entry.role == "search"]
        self._searched = searched if design.on_front else []
        self._first = described.results(begun)
        self.seeds = max(
            sum(e.candidate == begun[-1].candidate and e.role == begun[-1].role for e in begun), 1
        )

    def page(self, noise: Noise, rng: np.random.Generator, points: float = 0.0) -> Page:
        """One study, with a true effect of so many points (as a fraction)."""
        level, mean, deviation = self._levels(noise, rng, points)
        drawn = {part: self._images(noise, rng, part, level) for part in self.design.parts}
        accuracy = {part: right.mean(1) for part, (right, _) in drawn.items()}
        accuracy.setdefault("test", accuracy["val"])
        loss = np.log(2.5 * special.expit(-level)) + 0.01 * rng.standard_normal(len(level))
        rising = np.sort([accuracy["val"][self._place[i, None]] for i in self._searched])
        right = drawn.get("test", drawn["val"])[0]
        keeps = self._by_image or self.seeds == 1
        entries, known = [], {}
        for i, begun in enumerate(self._begun):
            places = [self._place[i, None]]
            places += [self._place[i, j] for j in range(len(begun.job.reruns))]
            val, test = (accuracy[part][places].tolist() for part in ("val", "test"))
            if self._searched and i <= self._searched[-1]:  # the dearest comes first
                val[0] = float(rising[-1 - i])
            reruns = tuple(
                RerunResult(architecture.executions, v, math.nan, t)
                for architecture, v, t in zip(begun.job.reruns, val[1:], test[1:], strict=True)
            )
            result = complete(val[0], test[0], math.exp(loss[places[0]]), reruns=reruns)
            entries.append(ended(begun, result))
            if keeps:
                known[i] = {"test": right[places[0]]}
                known[i] |= {f"rerun-{j}": right[place] for j, place in enumerate(places[1:])}
        found = self.described.results(entries, known)
        # What was declared depends on no result.
        vars(found)["_declared"] = self._first._declared

        def truth(entry: int, rerun: int | None, part: str) -> float:
            place = self._place[entry, rerun]
            if self.seeds == 1:
                return float(special.expit(level[place]))
            levels = mean[place] + deviation[place] * _NODES
            if self._folds:
                return float(special.expit(levels) @ _WEIGHTS)
            return float(_right(noise, levels, drawn[part][1][None]).mean(1) @ _WEIGHTS)

        return Page(found, truth)

    def _levels(
        self, noise: Noise, rng: np.random.Generator, points: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The level of each network, its mean over all seeds, and the deviation of these."""
        shared, own = noise.deviations
        base, less = special.logit(noise.accuracy), special.logit(noise.accuracy - points)
        mean = base + (less - base) * self._worse
        trial = own * rng.standard_normal(len(self._begun))[self._own]
        again = own * rng.standard_normal(len(mean))
        trial = np.where(self._reruns, math.sqrt(0.5) * (trial + again), trial)
        # A loss that is larger by a share has log odds that are lower by it over the accuracy.
        slope = noise.slope / noise.accuracy
        seeds = self._seed.max() + 1
        level = mean + trial + (shared * rng.standard_normal(seeds))[self._seed]
        level = level - (slope * rng.standard_normal(seeds))[self._seed] * self._doublings
        return level, mean, np.sqrt(shared**2 + own**2 + (slope * self._doublings) ** 2)

    def _images(
        self, noise: Noise, rng: np.random.Generator, part: str, level: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which images each network takes rightly, and how hard each image is."""
        images = self._sizes[part]
        hard = _normal(rng, (self._folds or 1, images))
        each = _normal(rng, (len(level), images))
        each *= np.float32(math.sqrt(1 - noise.of_image - self.design.of_arm))
        each += np.float32(math.sqrt(noise.of_image)) * hard[self._seed % len(hard)]
        if self.design.of_arm:
            arm = _normal(rng, (self._candidate.max() + 1, images))
            each += np.float32(math.sqrt(self.design.of_arm)) * arm[self._candidate]
        edge = special.ndtri(special.expit(level)).astype(np.float32)
        return each < edge[:, None], hard[0]


def _right(noise: Noise, levels: np.ndarray, hard: np.ndarray) -> np.ndarray:
    """The probability that networks of these levels (a column) take each image rightly."""
    edge = special.ndtri(special.expit(levels))[:, None]
    known, rest = math.sqrt(noise.of_image), math.sqrt(1 - noise.of_image)
    found: np.ndarray = special.ndtr((edge - known * hard) / rest)
    return found


def _normal(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    found: np.ndarray = rng.standard_normal(size, dtype=np.float32)
    return found
