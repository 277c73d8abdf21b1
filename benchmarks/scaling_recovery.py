"""Whether the intervals of the report's laws cover the truth, and how often laws are claimed of nothing.

    python benchmarks/scaling_recovery.py      # some 7 minutes of one core

Candidates with widths, unique blocks and loops are drawn at random, with losses that scatter about a
known law: over architectures, over trainings, and with what a seed does to all candidates, which are
trained with the same seeds: a level, and a slope over executions and over parameters (in
depth_scaling_full, of five seeds, the slopes have a standard deviation of 1 % of the loss a doubling).

- Coverage. Of each law and parameter, the share of repetitions whose 95 % interval has the truth, for
  the interval that a report prints and for two that it does not (the percentiles of the bootstrap, and
  the profile at the height of F alone: both take candidates for independent), the share that are open,
  and the median width.
- Nulls. How often a law, a verdict on the doubling of executions, or a difference of φ between two
  values of an axis is claimed where there is none.
- Power. How often they are claimed where there is one.

A set of depths that may be best holds the best one in 95 % of studies where all are equally good, and
no set of whole depths can do so where they are not: what is clearly the best is in it always. There
only the lower bound is required.

`--seed` draws other studies: whoever changes an interval tries it on other ones than those that score it.

Writes benchmarks/results/scaling_recovery_<hardware>_<date>.json; ends with an error where a coverage
is below 93 %, or a claim of nothing above 5 %, by more than two standard errors of the simulation.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import datetime
import itertools
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from sret_search.reporting.analyses.scaling.fit import Fit, fit
from sret_search.reporting.analyses.scaling.interval import (
    Bootstraps,
    Estimate,
    crossing,
    estimate,
    profile,
)
from sret_search.reporting.analyses.scaling.iso_cost import slice_of
from sret_search.reporting.analyses.scaling.law import ALPHA, PHI, E, Points
from sret_search.reporting.analyses.scaling.recurrence import by_size, depends, differing, falls
from sret_search.reporting.analyses.scaling.seeds import slope
from sret_search.reporting.statistics.pooled_variance import Variances

RESULTS = Path(__file__).parent / "results"
COVERED, CLAIMED = 0.93, 0.05
SEED = 20261127
"""Not one of those that the intervals were tried on."""


@dataclass(frozen=True)
class Law:
    """A truth, and what is known of it.

    Attributes:
        noise: standard deviation of log loss over trainings.
        misfit: that of log loss over architectures.
        shared: that of what a seed adds to the log losses of all candidates.
        slopes: that of what a seed adds to them for each doubling of executions, and of parameters.
        gain: A; nothing depends on size or depth where it is 0.
        uneven: whether residuals have heavy tails (Student's t, 4 degrees of freedom) and are
            twice as wide where loops are many, and in some families than in others.
        depth: a law of executions, of candidates that differ in nothing else.
        families: of a law of executions, each with a limit and a gain of its own.
    """

    candidates: int
    seeds: int
    phi: float = 0.46
    alpha: float = 0.35
    e: float = 0.25
    noise: float = 0.03
    misfit: float = 0.01
    shared: float = 0.0
    slopes: float = 0.0
    gain: float = 0.5
    uneven: bool = False
    depth: bool = False
    families: int = 1

    @property
    def truth(self) -> dict[int, float]:
        if self.families > 1:
            return {ALPHA: self.alpha}
        return {E: self.e, ALPHA: self.alpha} | ({} if self.depth else {PHI: self.phi})

    def draw(self, rng: np.random.Generator) -> Points:
        n = self.candidates
        if self.families > 1:
            family = np.repeat(np.arange(self.families), n)
            sizes = 2.0 ** np.tile(np.arange(n), self.families)[None]
            gain = self.gain * rng.normal(0.1, 0.04 if self.uneven else 0.02, self.families)
            law = (
                rng.normal(self.e, 0.02, self.families)
                + gain * sizes[0].reshape(-1, n).T ** -self.alpha
            )
            noise = rng.normal(0, self.noise, (self.seeds, len(family)))
            if self.uneven:
                noise = rng.standard_t(4, noise.shape) / np.sqrt(2) * self.noise
                noise *= np.exp(rng.normal(0, 0.35, self.families))[family]
                noise *= np.where(sizes[0] > 4, 1.4, 0.7)
            y = law.T.reshape(-1) + noise + rng.normal(0, self.misfit, len(family))
            y += self._of_seeds(rng, sizes[0])
            return Points(y, np.ones(1), sizes, relative=False, family_n=family)
        if self.depth:
            runs, sizes = np.ones(1), 2.0 ** np.arange(n)[None] * 1.0
            law = self.e + self.gain * sizes[0] ** -self.alpha
            wide, own_seeds = np.ones(n), self._of_seeds(rng, sizes[0])
        else:
            runs = np.array([1.0, 2, 4, 8])
            width, unique = (
                np.exp(rng.uniform(np.log(32), np.log(256), n)),
                rng.choice([1, 2, 4], n),
            )
            loops = rng.choice(4, n)
            sizes = np.zeros((4, n))
            sizes[0] = 40 * width + 3 * width**2 * rng.random(n)
            sizes[loops, np.arange(n)] += 12 * width**2 * unique
            law = self.e + self.gain * (runs**self.phi @ sizes / 1e5) ** -self.alpha
            wide = np.where(loops >= 2, 1.4, 0.6)
            own_seeds = self._of_seeds(rng, unique * 2.0**loops, sizes.sum(0))
        noise = rng.normal(0, self.noise, (self.seeds, n))
        own = rng.normal(0, self.misfit, n)
        if self.uneven:
            own = rng.standard_t(4, n) / np.sqrt(2) * self.misfit * wide
            noise = rng.standard_t(4, noise.shape) / np.sqrt(2) * self.noise * wide
        return Points(law * np.exp(noise + own + own_seeds), runs, sizes, relative=True)

    def _of_seeds(self, rng: np.random.Generator, *sizes: np.ndarray) -> np.ndarray:
        off = rng.normal(0, self.shared, (self.seeds, 1))
        slopes = rng.normal(0, self.slopes, (len(sizes), self.seeds))
        doublings = np.log2(np.stack(sizes))
        doublings -= doublings.mean(1, keepdims=True)
        found: np.ndarray = off + slopes.T @ doublings
        return found


OWN = {"shared": 0.03, "slopes": 0.01}
"""What seeds do to all candidates, as measured on the digits."""
LAWS = {
    "12 candidates, 5 seeds": Law(12, 5),
    "24 candidates, 3 seeds": Law(24, 3),
    "24 candidates, 5 seeds with slopes": Law(24, 5, **OWN),
    "60 candidates, 2 seeds with slopes, as noisy as the digits": Law(
        60, 2, 0.2, 0.6, 0.1, 0.08, 0.05, **OWN
    ),
    "36 candidates, 10 seeds with slopes, uneven": Law(36, 10, uneven=True, **OWN),
    "10 depths, 3 seeds": Law(10, 3, alpha=0.9, noise=0.02, misfit=0.005, depth=True),
    "8 depths, 5 seeds with slopes": Law(8, 5, alpha=0.9, noise=0.02, misfit=0, depth=True, **OWN),
    "6 families of 5 depths, 5 seeds": Law(5, 5, 0, 0.9, 0.1, 0.005, 0, depth=True, families=6),
    "24 families of 5 depths, 5 seeds with slopes": Law(
        5, 5, 0, 0.9, 0.1, 0.005, 0, 0.01, 0.003, depth=True, families=24
    ),
    "12 families of 5 depths, 5 seeds with slopes, uneven": Law(
        5, 5, 0, 0.9, 0.1, 0.005, 0.001, 0.01, 0.003, uneven=True, depth=True, families=12
    ),
}
SEEDS = 1, 2, 3, 5, 10
NAMES = {E: "E", PHI: "phi", ALPHA: "alpha"}


def others(found: Fit, place: int, drawn: Bootstraps) -> dict[str, Estimate]:
    """Intervals that a report does not print."""
    value = float(found.theta[place])
    low, high = np.quantile(drawn.theta_B4[:, place], (0.025, 0.975))
    values, heights = profile(found, place)
    bar = float(stats.t.ppf(0.975, found.dof))
    below, above = values < value, values > value
    ends = (
        crossing(values[below][::-1], heights[below][::-1], value, bar),
        crossing(values[above], heights[above], value, bar),
    )
    return {"percentiles": Estimate(value, low, high), "F alone": Estimate(value, *ends)}


def covers(estimate: Estimate, truth: float) -> bool:
    low = -np.inf if estimate.low is None else estimate.low
    high = np.inf if estimate.high is None else estimate.high
    return bool(low <= truth <= high)


def recovered(law: Law, repetitions: int, seed: int = SEED) -> dict[str, dict[str, float]]:
    """Coverage by parameter."""
    found: dict[int, list[dict[str, Estimate]]] = {place: [] for place in law.truth}
    for i in range(repetitions):
        fitted = fit(law.draw(np.random.default_rng([seed, i])), 0.0 if law.depth else None)
        assert fitted is not None
        drawn = Bootstraps.draw(fitted, seed=i)
        for place in law.truth:
            own = {"covers": estimate(fitted, place, drawn)} | others(fitted, place, drawn)
            found[place].append(own)
    return {
        NAMES[place]: {
            kind: float(np.mean([covers(own[kind], truth) for own in found[place]]))
            for kind in ("covers", "percentiles", "F alone")
        }
        | {
            "open": float(np.mean([own["covers"].is_open for own in found[place]])),
            "truth": truth,
            "width": float(np.median([_width(own["covers"]) for own in found[place]])),
        }
        for place, truth in law.truth.items()
    }


def claims(points: Points, is_depth: bool) -> dict[str, bool]:
    """Whether a law is printed, and whether loss is said to rise or fall with depth."""
    by = slope(points, np.log2(points.sizes_rn[0])) if is_depth else by_size(points)
    found = fit(points, 0.0 if is_depth else None) if falls(by) else None
    said = {"law": found is not None and depends(found)}
    return said | ({"doubling": not covers(by, 0.0)} if is_depth else {})


def claimed(law: Law, repetitions: int, seed: int = SEED) -> dict[str, float]:
    """How often each claim is made."""
    said = [
        claims(law.draw(np.random.default_rng([seed, 3, i])), law.depth) for i in range(repetitions)
    ]
    return {name: float(np.mean([own[name] for own in said])) for name in said[0]}


def differ(repetitions: int, phis: tuple[float, float], seeds: int, seed: int = SEED) -> float:
    """How often φ is said to differ between the halves of 40 candidates."""
    found = 0
    for i in range(repetitions):
        rng = np.random.default_rng([seed, 4, i])
        # What seeds share they share over both halves, for which one law is drawn after the other.
        state = rng.bit_generator.state
        halves = []
        for phi in phis:
            rng.bit_generator.state = state
            halves.append(Law(40, seeds, phi=phi, misfit=0.0, **OWN).draw(rng))
        y = np.concatenate([halves[0].y_sn[:, :20], halves[1].y_sn[:, 20:]], axis=1)
        points = Points(y, halves[0].runs_r, halves[0].sizes_rn, relative=True)
        own = np.arange(40) < 20
        found += differing(points, {"axis": [own, ~own]})[0] is not None
    return found / repetitions


def nulls(repetitions: int, seed: int = SEED) -> dict[str, dict[str, float]]:
    """Claims where losses depend on nothing."""
    found = {}
    for seeds in SEEDS:
        for kind, own in (("independent noise", {}), ("slopes of seeds", OWN)):
            rest = {"gain": 0.0, "misfit": 0.0, "noise": 0.01, **own}
            name = f"{seeds} seed{'s' * (seeds > 1)}, {kind}"
            for n in (8, 12, 24):
                law = Law(n, seeds, **rest)
                found[f"{n} candidates, {name}"] = claimed(law, repetitions, seed)
            depths = Law(8, seeds, depth=True, **rest)
            found[f"8 depths, {name}"] = claimed(depths, repetitions, seed)
            families = Law(5, seeds, depth=True, families=5, **rest)
            found[f"5 families of 5 depths, {name}"] = claimed(families, repetitions, seed)
    return found


def powers(repetitions: int, seed: int = SEED) -> dict[str, dict[str, float]]:
    """Claims where losses depend on size, or fall with each doubling of executions."""
    found = {}
    for seeds in SEEDS[1:]:
        for n, gain in itertools.product((8, 12, 24), (0.1, 0.5)):
            law = Law(n, seeds, gain=gain, noise=0.02, misfit=0.0, **OWN)
            fall = -np.mean([_fall(law, seed, i) for i in range(20)])
            name = (
                f"{n} candidates, {seeds} seeds, {100 * fall:.0f} % less a doubling of parameters"
            )
            found[name] = claimed(law, repetitions, seed)
        for fall in (0.01, 0.03):
            # With so small an exponent the law is a straight line of log loss.
            law = Law(
                8,
                seeds,
                e=0,
                gain=1,
                alpha=-math.log2(1 - fall),
                noise=0.02,
                misfit=0,
                depth=True,
                **OWN,
            )
            said = claimed(law, repetitions, seed)
            found[f"8 depths, {seeds} seeds, {100 * fall:.0f} % less a doubling"] = said
    return found


def _fall(law: Law, seed: int, i: int) -> float:
    by = by_size(law.draw(np.random.default_rng([seed, 3, i])))
    return float(np.expm1((by.value or 0.0) * math.log(2)))


def best_depth(repetitions: int, each: int, apart: float, seed: int = SEED) -> dict[str, float]:
    """How often the truly best depth is among those that may be best.

    Args:
        each: candidates of each of five depths, with three seeds each.
        apart: how far the best ones of two depths lie apart, in spreads of a seed.
    """
    found = []
    for i in range(repetitions):
        rng = np.random.default_rng([seed, 1, i])
        below = rng.exponential(0.006, (5, each))
        below[:, 0] = 0.006 * apart * np.abs(np.arange(5) - 2)
        accuracy = 0.94 - below[..., None] + rng.normal(0, 0.006, (5, each, 3))
        names = [f"{d}-{c}" for d in range(5) for c in range(each)]
        trials = pd.DataFrame({
            "candidate": np.repeat(names, 3), "seed": np.tile(range(3), len(names)),
            "val_accuracy": accuracy.reshape(-1),
        })  # fmt: skip
        table = trials.groupby("candidate", sort=False).val_accuracy.mean().reset_index()
        table = table.assign(seeds=3, params=1000, executions=np.repeat(2 ** np.arange(5), each))
        spread = Variances.from_accuracies(trials.candidate, trials.seed, trials.val_accuracy, 540)
        one = slice_of(table, "params", spread)
        may = [at.executions for at in one.depths if at.may_be_best]
        found.append((4 in may, one.is_open))
    covers, is_open = np.mean(found, axis=0)
    return {"covers": float(covers), "open": float(is_open)}


def doubled(repetitions: int, families: int, seeds: int, seed: int = SEED) -> dict[str, float]:
    """How often the interval of what a doubling of executions brings has the truth."""
    found = []
    for i in range(repetitions):
        rng = np.random.default_rng([seed, 2, i])
        depths = np.tile(np.arange(5.0), families)
        family = np.repeat(np.arange(families), 5)
        own = 0.01 + rng.normal(0, 0.003 * (families > 1), families)
        of_seeds = rng.normal(0, 0.003, (seeds, 1)) * depths
        accuracy = 0.9 + own[family] * depths + of_seeds
        accuracy += rng.normal(0, 0.006, (seeds, 5 * families))
        group = family if families > 1 else None
        points = Points(1 - accuracy, np.ones(1), 2.0 ** depths[None], False, group)
        found.append(covers(slope(points, depths), -0.01))
    return {"covers": float(np.mean(found))}


def _width(estimate: Estimate) -> float:
    if estimate.low is None or estimate.high is None:
        return float("inf")
    return estimate.high - estimate.low


def outside(result: dict[str, Any]) -> list[str]:
    """What does not cover, or is claimed of nothing, beyond what chance allows."""
    wrong = []
    for name, one in result["coverage"].items():
        doubt = 2 * math.sqrt(COVERED * (1 - COVERED) / one["repetitions"])
        for parameter, share in one.get("parameters", {"": one}).items():
            if share["covers"] < COVERED - doubt:
                wrong.append(f"{name} {parameter}: {share['covers']}")
    nothing = result["nulls"]
    doubt = 2 * math.sqrt(CLAIMED * (1 - CLAIMED) / nothing["repetitions"])
    for name, said in nothing["studies"].items():
        wrong += [f"{name}, {key}: {rate}" for key, rate in said.items() if rate > CLAIMED + doubt]
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--law", choices=LAWS, action="append", help="prints, and writes nothing")
    parser.add_argument("--hardware", default="any-cpu", help="a word for the name of the file")
    options = parser.parse_args()
    repetitions, seed = options.repetitions, options.seed
    coverage: dict[str, Any] = {}
    for name in options.law or LAWS:
        start = time.process_time()
        coverage[name] = {"parameters": recovered(LAWS[name], repetitions, seed)}
        spent = (time.process_time() - start) / repetitions
        coverage[name] |= {"core_seconds_each": round(spent, 3), "repetitions": repetitions}
    if options.law is not None:
        print(json.dumps(coverage, indent=1))
        return
    cheap, dear = 8 * repetitions, max(repetitions // 2, 1)
    for each, apart in ((1, 0.0), (1, 1.0), (6, 1.0)):
        name = f"best of 5 depths with {each} candidates each, {apart:g} spreads apart"
        coverage[name] = best_depth(repetitions, each, apart, seed) | {"repetitions": repetitions}
    for families, seeds in itertools.product((1, 5, 20), SEEDS[1:]):
        name = f"a doubling of executions, {families} families, {seeds} seeds"
        coverage[name] = doubled(cheap, families, seeds, seed) | {"repetitions": cheap}
    result = {
        "coverage": coverage,
        "nulls": {"repetitions": cheap, "studies": nulls(cheap, seed)},
        "power": {"repetitions": dear, "studies": powers(dear, seed)},
        "phi differs": {
            "repetitions": dear,
            "nothing differs": differ(dear, (0.46, 0.46), 5, seed),
            "0 against 1": differ(dear, (0.0, 1.0), 5, seed),
        },
    }
    wrong = outside(result)
    print(json.dumps(result, indent=1))
    today = datetime.date.today().strftime("%Y%m%d")
    path = RESULTS / f"scaling_recovery_{options.hardware}_{today}.json"
    spent = round(time.process_time())
    written = {"seed": seed, "core_seconds": spent, "outside": wrong} | result
    path.write_text(json.dumps(written, indent=1) + "\n")
    if wrong:
        raise SystemExit(f"outside: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
