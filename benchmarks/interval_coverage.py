"""How often each interval that a report prints holds what it is for, in simulated studies.

    python benchmarks/interval_coverage.py                # one CPU core: some 20 minutes
    python benchmarks/interval_coverage.py --repetitions 200

An image is classified right where level + seed + image + image of the arm + noise > 0, all of them
normal: seeds differ in level, images in how hard they are, each arm finds other ones hard, and each
training errs by itself on top. Their spreads are those of 208 candidates on the digits (539 test
images, 3 seeds each; `benchmarks/tabular/`): at 92 % right, seeds have a standard deviation of 1.2
points, of which 0.8 are of the image's noise, and half of the variance of an image's outcome is of
the image; at 73 %, 5.8 points and a third.

What an interval is for:

    accuracy, difference, contrast over seeds    the mean over all seeds, on these images
    accuracy and difference of one seed          these weights, on all images
    contrast over seeds and images               the mean over all seeds and images
    attainment                                   the median front of all seeds, at each cost
    accuracy among candidates                    as accuracy, of each of a study's candidates
    accuracy with shared seeds                   likewise
    accuracy of the best of many                 as accuracy, of the candidate that came out best

`accuracy` is that of a candidate alone, of elastic depths and of lengths; `accuracy among candidates`
that of candidates, arms, depths and what is confirmed, whose spreads other candidates help to tell:
here they spread unequally, so that one training of the noisiest third has four times the variance of
one of the quietest, and the noisiest third is scored alone too. `shared seeds` are those that all
candidates are trained with: what a seed does to all of them and what it does to each have, in log
odds, the spreads of `SHARED`. `difference` is that of arms, depths beside reruns, twins and elastic
gaps. A percentile bootstrap over seeds stands beside them as what does not cover. Where fewer than
`SPARSE` images are expected to be wrong, intervals of counts cannot but be too wide: there only the
lower bound is required, as it is of two seeds, of shared seeds, and of the best of many. Of
contrasts it is also counted how often the true difference has a p-value below .01 and .001, on which
Holm's correction rests.

Writes benchmarks/results/interval_coverage_<hardware>_<date>.json and, a row a cell, a table of that name
with _cells.csv.xz at its end, which pandas reads as it is. Ends with an error where
the coverage is not between 90 and 98 %, or p-values are low too often, within two standard errors of
the simulation (four of p-values).
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from sret_search.reporting.statistics import attainment, intervals, standard_error
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.pooled_variance import Variances

RESULTS = Path(__file__).parent / "results"
TABLE = Path(__file__).parent / "tabular" / "trials.parquet"
_VALIDATION = 539
"""Images of validation of that table."""
WANTED = 0.90, 0.98
SPARSE = 4
REPETITIONS = 1000
BOOTSTRAP = "percentile bootstrap (for comparison)"
ACCURACIES = {0.6: 0.05, 0.8: 0.03, 0.92: 0.01, 0.97: 0.005, 0.995: 0.0}
"""Of the arm that another is held against, and how much better the other is."""
IMAGES = 100, 359, 2000
SEEDS = 1, 2, 3, 5, 10
PAIRS = 1, 4
_MEASURED = [0.5, 0.73, 0.92, 0.995]
_SEED, _IMAGE, _ARM = [0.3, 0.27, 0.13, 0.1], [1.0, 1.3, 2.0, 2.5], 0.6
"""Standard deviations beside that of noise, which is 1: of seeds and images at the accuracies
above, of images that one arm alone finds hard."""
AMONG = {
    (0.6, 0.97): (0.7, 1.0, 1.4),
    (0.9, 0.95): (0.45, 1.0, 2.3),
    (0.985, 0.997): (0.3, 2.0, 5.0),
}
"""Accuracies of the candidates of a study, from the least to the most; and the deviations of seeds,
of a third of them each, beside those that are measured, so that variances differ some fourfold."""
CANDIDATES = 3, 6, 24
NOISIEST = "accuracy of the noisiest third"
SHARED = {
    "as depth_scaling_full": (0.29, 0.09),
    "as elastic": (0.66, 0.25),
    "as recursion": (0.42, 0.24),
    "none shared": (0.0, 0.14),
}
"""Deviations in log odds of what a seed does to all candidates, and of what it does to each."""
LEVELS = 0.75, 0.92, 0.97, 0.985, 0.995
MEMBERS = 5, 25, 60
TAILS = 0.01, 0.001

Found = tuple[str, Interval, float, float | None]
"""What an interval is of, the interval, the truth, and the p-value of the truth where it has one."""


@dataclass(frozen=True)
class Cell:
    """Studies that are alike.

    Attributes:
        accuracy: of the arm that another is held against; gain: of the other over it.
        pairs: of candidates that a contrast is the mean of.
    """

    accuracy: float
    gain: float
    images: int
    seeds: int
    pairs: int

    @property
    def is_sparse(self) -> bool:
        return (1 - self.accuracy) * self.images < SPARSE


def study(cell: Cell, rng: np.random.Generator) -> Iterator[Found]:
    """The intervals of one simulated study."""
    of_seed = float(np.interp(cell.accuracy, _MEASURED, _SEED))
    of_image = float(np.interp(cell.accuracy, _MEASURED, _IMAGE))
    all_of = math.sqrt(1 + of_seed**2 + of_image**2 + _ARM**2)
    hard = _normal(rng, of_image, cell.images)
    table = np.zeros((cell.seeds, cell.images))
    here = 0.0
    for pair in range(cell.pairs):
        both = []
        for accuracy in (cell.accuracy + cell.gain, cell.accuracy):
            level = hard + _normal(rng, _ARM, cell.images) + norm.ppf(accuracy) * all_of
            seeds = _normal(rng, of_seed, (cell.seeds, 1))
            right = level + seeds + _normal(rng, 1, (cell.seeds, cell.images)) > 0
            these = float(norm.cdf(level / math.sqrt(1 + of_seed**2)).mean())
            one = float(norm.cdf((norm.ppf(accuracy) * all_of + seeds[0, 0]) / math.sqrt(1 + of_image**2 + _ARM**2)))  # fmt: skip
            both.append((right, these, one))
        (first, mine, my_one), (second, theirs, their_one) = both
        table += first.astype(float) - second
        here += mine - theirs
        if pair == 0 and cell.pairs == 1:
            accuracies = [float(value) for value in first.mean(1)]
            truth = mine if cell.seeds > 1 else my_one
            yield "accuracy", intervals.accuracy(accuracies, cell.images), truth, None
            if cell.seeds == 1:
                bounds = intervals.paired_proportions(first[0], second[0])
                yield "difference", bounds, my_one - their_one, None
    table /= cell.pairs
    if cell.seeds == 1:
        return
    here /= cell.pairs
    gains = [float(value) for value in table.mean(1)]
    if cell.pairs == 1:
        yield "difference", intervals.difference(gains, cell.images), here, None
        again = rng.choice(gains, (500, cell.seeds)).mean(1)
        low, high = np.percentile(again, [2.5, 97.5])
        yield BOOTSTRAP, (float(low), float(high)), here, None
    mean = float(np.mean(gains))
    for name, found, truth in (
        (
            "contrast over seeds",
            standard_error.OverSeeds.from_differences(gains, cell.images, cell.pairs),
            here,
        ),
        (
            "contrast over seeds and images",
            standard_error.OverBoth.from_differences(table, cell.pairs),
            cell.gain,
        ),
    ):
        yield (
            name,
            standard_error.interval(mean, found),
            truth,
            standard_error.p_value(mean - truth, found),
        )


def simulate(cell: Cell, repetitions: int) -> list[dict[str, Any]]:
    """The coverage and mean width of each interval of a cell."""
    # The same studies whatever else is simulated.
    key = round(1000 * cell.accuracy), cell.images, cell.seeds, cell.pairs
    rng = np.random.default_rng(key)
    found: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    tails: dict[str, list[float]] = defaultdict(list)
    for _ in range(repetitions):
        for name, (low, high), truth, p in study(cell, rng):
            # A bound that is the truth but for rounding holds it.
            found[name].append((low - 1e-9 <= truth <= high + 1e-9, high - low))
            tails[name] += [] if p is None else [p]
    return [
        {
            "interval": name,
            "accuracy": cell.accuracy,
            "gain": cell.gain,
            "images": cell.images,
            "seeds": cell.seeds,
            "pairs": cell.pairs,
            "sparse": cell.is_sparse,
            "coverage": float(np.mean([held for held, _ in each])),
            "width": float(np.mean([width for _, width in each])),
            "repetitions": repetitions,
        }
        | {
            f"p below {tail:g}": float(np.mean(np.array(tails[name]) < tail))
            for tail in TAILS
            if tails[name]
        }
        for name, each in found.items()
    ]


def among(
    span: tuple[float, float], candidates: int, seeds: int, images: int, repetitions: int
) -> list[dict[str, Any]]:
    """The coverage of the interval of each candidate of a study: of all, and of those that spread
    most."""
    rng = np.random.default_rng((20261126, round(1000 * span[0]), candidates, seeds, images))
    levels = np.linspace(*span, candidates)
    held, width, variance = [], [], []
    for _ in range(repetitions):
        unequal = rng.permutation(np.resize(AMONG[span], candidates))
        hard = _normal(rng, 1, images)
        reached, truth = np.empty((candidates, seeds)), np.empty(candidates)
        for i, level in enumerate(levels):
            of_seed = unequal[i] * float(np.interp(level, _MEASURED, _SEED))
            of_image = float(np.interp(level, _MEASURED, _IMAGE))
            all_of = math.sqrt(1 + of_seed**2 + of_image**2 + _ARM**2)
            here = of_image * hard + _normal(rng, _ARM, images) + norm.ppf(level) * all_of
            right = here + _normal(rng, of_seed, (seeds, 1)) + _normal(rng, 1, (seeds, images)) > 0
            reached[i], truth[i] = right.mean(1), norm.cdf(here / math.sqrt(1 + of_seed**2)).mean()
        names = [str(i) for i in range(candidates) for _ in range(seeds)]
        spread = Variances.from_accuracies(
            names, list(range(seeds)) * candidates, reached.ravel().tolist(), images
        )
        own = reached.var(1, ddof=1)
        each = [str(i) for i in range(candidates)]
        low, high = spread.intervals(reached.mean(1), np.full(candidates, seeds), each)
        order = np.argsort(unequal, kind="stable")
        held.append(((low - 1e-9 <= truth) & (truth <= high + 1e-9))[order])
        width.append((high - low)[order])
        variance.append(own[order])
    third = slice(candidates - candidates // 3, None)
    ratio = np.mean(variance, axis=0)
    about = {
        "from": span[0], "to": span[1], "candidates": candidates, "images": images, "seeds": seeds,
        "sparse": False, "repetitions": repetitions,
        "variances": round(float(ratio[third].mean() / ratio[: candidates // 3].mean()), 2),
    }  # fmt: skip
    kinds = ("accuracy among candidates", slice(None)), (f"{NOISIEST} among candidates", third)
    return [
        {"interval": name, **about, "coverage": float(np.mean(np.array(held)[:, part])),
         "width": float(np.mean(np.array(width)[:, part]))}
        for name, part in kinds
    ]  # fmt: skip


def shared(
    kind: str, level: float, candidates: int, seeds: int, images: int, repetitions: int
) -> list[dict[str, Any]]:
    """The coverage of the interval of each of a study's equal candidates, and of the one that came out
    best, as one among so many: of the accuracy that chose it, and of another part of the data that
    shares its seeds."""
    together, apart = SHARED[kind]
    rng = np.random.default_rng((round(1000 * level), candidates, seeds, list(SHARED).index(kind)))
    usual = rng.normal(0, math.hypot(together, apart), 20_000)
    truth = np.full(candidates, expit(logit(level) + usual).mean())
    names = [str(i) for i in range(candidates)]
    every = [name for name in names for _ in range(seeds)]
    own = list(range(seeds)) * candidates
    held: dict[str, list[float]] = defaultdict(list)
    for _ in range(repetitions):
        of_all = rng.normal(0, together, seeds)
        half = [rng.normal(0, apart / math.sqrt(2), (candidates, seeds)) for _ in range(3)]
        best = None
        for part, other in (("where it was chosen", half[1]), ("on another part", half[2])):
            right = expit(logit(level) + of_all + half[0] + other)
            reached = rng.binomial(images, right) / images
            spread = Variances.from_accuracies(every, own, reached.ravel(), images)
            here = right[:, 0] if seeds == 1 else truth
            if best is None:
                best = int(np.argmax(reached.mean(1)))
                if seeds == 1:
                    low, high = np.transpose([spread.interval(values) for values in reached])
                else:
                    low, high = spread.intervals(reached.mean(1), np.full(candidates, seeds), names)
                inside = np.mean((low <= here) & (here <= high))
                held["accuracy with shared seeds"].append(float(inside))
            bottom, top = spread.interval(reached[best].tolist(), names[best], candidates)
            held[f"accuracy of the best of many, {part}"].append(bottom <= here[best] <= top)
    return [
        {"interval": name, "kind": kind, "accuracy": level, "candidates": candidates,
         "images": images, "seeds": seeds, "sparse": True, "coverage": float(np.mean(each)),
         "repetitions": repetitions}
        for name, each in held.items()
    ]  # fmt: skip


def measured(seeds: int) -> list[dict[str, Any]]:
    """The same of real trainings, of the table of the digits: so many seeds of each candidate say
    where the mean of its other ones is."""
    table = pd.read_parquet(TABLE).pivot_table("val_accuracy", "candidate", "seed")
    # Candidates have two seeds or five.
    reached = table[table.notna().sum(axis=1) == 5].dropna(axis=1).to_numpy()
    candidates, every = reached.shape
    odds = reached.var(1, ddof=1) / (reached.mean(1) * (1 - reached.mean(1))) ** 2
    held, width = [], []
    for some in itertools.combinations(range(every), seeds):
        own, others = reached[:, some], np.delete(reached, some, axis=1)
        names = [str(i) for i in range(candidates) for _ in some]
        spread = Variances.from_accuracies(
            names, list(some) * candidates, own.ravel().tolist(), _VALIDATION
        )
        mean, each = own.mean(1), [str(i) for i in range(candidates)]
        low, high = spread.intervals(mean, np.full(candidates, seeds), each)
        # The mean of the others is off too.
        wider = math.sqrt(1 + seeds / (every - seeds))
        off = others.mean(1) - mean
        held.append((off >= wider * (low - mean)) & (off <= wider * (high - mean)))
        width.append(high - low)
    noisiest = odds >= np.quantile(odds, 2 / 3)
    about = {"candidates": candidates, "seeds": seeds, "sparse": False, "repetitions": len(held) * candidates}  # fmt: skip
    return [
        {"interval": name, **about, "coverage": float(np.mean(np.array(held)[:, part])),
         "width": float(np.mean(np.array(width)[:, part]))}
        for name, part in (("accuracy among the digits' candidates", slice(None)),
                           (f"{NOISIEST} of the digits' candidates", noisiest))
    ]  # fmt: skip


def fronts(seeds: int, repetitions: int, candidates: int = 8) -> dict[str, Any]:
    """The coverage of the band of fronts, at the cost of each candidate."""
    rng = np.random.default_rng((seeds, candidates))
    costs = np.geomspace(1e4, 1e5, candidates)
    means = np.linspace(0.9, 0.96, candidates)

    def reached(count: int) -> np.ndarray:
        found: np.ndarray = means + rng.normal(0, 0.01, (count, candidates))
        return found

    truth = np.median(np.maximum.accumulate(reached(100_000), axis=1), axis=0)
    of_low, of_high, _ = attainment.band(seeds)
    held, width = [], []
    for _ in range(repetitions):
        own = [(accuracies, costs) for accuracies in reached(seeds)]
        low, high = (
            y[np.searchsorted(x, costs, side="right") - 1]
            for x, y in (attainment.surface(own, of_low), attainment.surface(own, of_high))
        )
        held.append(np.mean((low <= truth) & (truth <= high)))
        width.append(np.mean(high - low))
    return {
        "interval": "attainment", "seeds": seeds, "sparse": False, "coverage": float(np.mean(held)),
        "width": float(np.mean(width)), "repetitions": repetitions,
    }  # fmt: skip


def cells() -> list[Cell]:
    """Every kind of study, as far as it has intervals of its own."""
    every = itertools.product(ACCURACIES.items(), IMAGES, SEEDS, PAIRS)
    return [
        Cell(accuracy, gain, images, seeds, pairs)
        for (accuracy, gain), images, seeds, pairs in every
        if seeds > 1 or pairs == 1
    ]


def outside(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that do not cover as is wanted."""
    least, most = WANTED
    wrong = []
    for one in found:
        doubt = 2 * math.sqrt(0.95 * 0.05 / one["repetitions"])
        too_often = not one["sparse"] and one["seeds"] != 2 and one["coverage"] > most + doubt
        low_p = any(
            one.get(f"p below {tail:g}", 0) > tail + 4 * math.sqrt(tail / one["repetitions"])
            for tail in TAILS
        )
        if one["interval"] != BOOTSTRAP and (one["coverage"] < least - doubt or too_often or low_p):
            wrong.append(one)
    return wrong


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The least, mean and largest coverage of each interval at each number of seeds, and how often
    p-values are low."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        kind = "sparse, " if one["sparse"] and "gain" in one else ""
        groups[f"{one['interval']}: {kind}{one['seeds']} seeds"].append(one)
    tails = [f"p below {tail:g}" for tail in TAILS]
    return {
        name: {
            "least": min(one["coverage"] for one in each),
            "mean": round(float(np.mean([one["coverage"] for one in each])), 4),
            "largest": max(one["coverage"] for one in each),
            "cells": len(each),
        }
        | {
            tail: round(float(np.mean([one[tail] for one in each])), 5)
            for tail in tails
            if tail in each[0]
        }
        for name, each in sorted(groups.items())
    }


def _normal(rng: np.random.Generator, deviation: float, size: int | tuple[int, int]) -> np.ndarray:
    drawn: np.ndarray = deviation * rng.standard_normal(size, dtype=np.float32)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--hardware", default="any-cpu", help="a word for the name of the file")
    arguments = parser.parse_args()
    found = [fronts(seeds, arguments.repetitions) for seeds in SEEDS if seeds >= attainment.SEEDS]
    found += [one for seeds in (2, 3) for one in measured(seeds)]
    for kind, level, seeds in itertools.product(SHARED, LEVELS, SEEDS):
        for candidates in MEMBERS:
            found += shared(kind, level, candidates, seeds, 360, arguments.repetitions // 2)
        print(f"{found[-1]}", flush=True)
    for span, candidates, seeds in itertools.product(AMONG, CANDIDATES, SEEDS[1:]):
        found += among(span, candidates, seeds, 359, arguments.repetitions // 2)
        print(f"{found[-2]}", flush=True)
    for cell in cells():
        found += simulate(cell, arguments.repetitions)
        print(f"{cell}", flush=True)
    wrong = outside(found)
    today = datetime.date.today().strftime("%Y%m%d")
    path = RESULTS / f"interval_coverage_{arguments.hardware}_{today}.json"
    written = {"summary": summary(found), "outside": wrong}
    path.write_text(json.dumps(written, indent=1) + "\n")
    rows = pd.DataFrame(found)
    rows.to_csv(path.with_name(f"{path.stem}_cells.csv.xz"), index=False, float_format="%.6g")
    print(json.dumps(written["summary"], indent=1))
    if wrong:
        raise SystemExit(f"{len(wrong)} cells are outside {WANTED}: {json.dumps(wrong, indent=1)}")


if __name__ == "__main__":
    main()
