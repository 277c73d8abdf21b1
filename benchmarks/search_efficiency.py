"""How much of the front each sampler finds with the same trainings: studies replayed from the table
of real trainings in `benchmarks/tabular/`, many times, by the samplers that real studies use.

    python benchmarks/search_efficiency.py                     # 2 CPU cores: some 10 minutes
    python benchmarks/search_efficiency.py --replays 8 --methods random,tpe,frontier
    python benchmarks/search_efficiency.py --held-back         # on the table that no sampler was tuned on

A sampler sees the validation figures of one seed. What it selects by them (`frontier` by its
posterior means, all others the front of what they saw) is scored by the mean test accuracy over the
other seeds: the hypervolume of accuracy × log10 parameters, above chance and below the budget.
What a sampler has trained is scored, too, as if the best of it were known: that is the search alone,
without the selection.
Every method meets the same replays. The first half of them chooses the best baseline, at 50 and
at 100 trials; on the second half `frontier` is held against it, replay by replay.

The held-back space has a quarter of the candidates, of which 200 would be most: its replays end
after 80 trials, and with them what is said of 200 or of 100 below.

Writes benchmarks/results/search_efficiency_<hardware>_<date>.json and a picture of the same name
(search_efficiency_held_back_… with --held-back), and prints last, as one JSON object:

    trials_to_random_200    trials after which `frontier` has the hypervolume that random search has
                            after 200 in the same replay: quartiles, and the share of replays in
                            which it comes there at all
    over_best_at_50         hypervolume of `frontier` less that of the best baseline after 50
                            trials: its mean with a 95 % interval (t, paired by replay)
    ratio_to_best_at_100    trials after which `frontier` has what the best baseline has after 100
                            in the same replay, over 100: quartiles
    trained                 the same three of all that was trained, whatever was selected of it
    scheduled               `frontier` under mo_asha against `frontier` without, 100 trials each:
                            the share of replays in which the best true accuracy is lower by more than
                            0.3 points in no stratum of parameters; the median and the largest such
                            loss; and the training time of the one over that of the other, median.
                            `by_stratum` has the mean loss in each with a 95 % interval, `same_time`
                            the losses of `frontier` without a scheduler that ends after the training
                            time of the one with, `alike` those of `frontier` without one that only
                            draws its first trials by another seed: what is chance in such losses
    hypervolume             by method and number of trials: quartiles over all replays
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabular.bananas import MOBananas
from tabular.replay import SEEDS, Replay, Table, hypervolumes, load, reference, replay
from tabular.table import HELD_BACK, HERE
from trial_overhead import hardware

from sret_search.config import samplers
from sret_search.reporting.render import matplotlib
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series
from sret_search.reporting.render.colours import GREEN, GREY, ORANGE, PURPLE, RED, SKY
from sret_search.reporting.render.files import pictures
from sret_search.reporting.statistics import intervals
from sret_search.search.samplers.base import Sampler
from sret_search.study import Study

RESULTS = Path(__file__).parent / "results"
METHODS: dict[str, str | Mapping[str, Any] | Callable[[Study], Sampler]] = {
    **{name: name for name in ("random", "stratified", "sobol", "tpe", "gp")},
    **samplers.RENAMED,
    "mo_bananas": MOBananas,
    "frontier": "frontier",
}
OURS, CHANCE = "frontier", "random"
COUNTS = (5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200)
_SLOW = {"gp": 50, "tpe": 100, "mo_bananas": 100}
"""Trials after which the replays of samplers end that take long for each."""
_TRIALS = {HERE: 200, HELD_BACK: 80}
"""Of each replay, by the folder of the table."""
_ASHA, _MOST = "mo_asha", 100
"""The scheduler; trials of what it is compared in, and of the ratio, at most."""
_STRATA, _LOSS = 5, 0.003
_STRATUM = [f"stratum_{i}" for i in range(_STRATA)]
_DRAWN = 4
"""Trials from which on curves are drawn."""
_COLOURS = {
    "random": GREY, "stratified": "#999999", "sobol": "#BBBBBB", "tpe": ORANGE,
    "nsga2": GREEN, "gp": SKY, "mo_bananas": PURPLE, "frontier": RED,
}  # fmt: skip


_loaded = cache(load)


def replayed(folder: Path, method: str, index: int, trials: int, scheduler: str) -> pd.DataFrame:
    """One replay, scored."""
    study, table = _loaded(folder)
    found = replay(study, table, METHODS[method], index, trials, scheduler=scheduler)
    return scored(study, table, found, method, scheduler)


def scored(study: Study, table: Table, found: Replay, method: str, scheduler: str) -> pd.DataFrame:
    """Hypervolumes of one replay, a row a trial; and of `OURS` the best true accuracy of what is
    selected, by parameters up to the end of each stratum."""
    curve = hypervolumes(found, table.truth(found.seen), *reference(study))
    if method == OURS:
        curve = pd.concat([curve, _strata(study, table, found)], axis=1)
    return curve.assign(method=method, replay=found.index, scheduler=scheduler)


def _strata(study: Study, table: Table, found: Replay) -> pd.DataFrame:
    truth = table.truth(found.seen)
    params = {one.name: one.cost.params for one in study.points.all()}
    ends = np.geomspace(min(params.values()), max(params.values()), _STRATA + 1)[1:]
    rows = []
    for trials in range(1, len(found.told) + 1):
        chosen = found.selected(trials)
        within = ([truth[name] for name in chosen if params[name] <= 1.001 * end] for end in ends)
        rows.append([max(some, default=0.0) for some in within])
    return pd.DataFrame(rows, columns=list(_STRATUM))


def curves(folder: Path, methods: Iterable[str], replays: int, trials: int) -> pd.DataFrame:
    """Every replay of every method, as many at a time as there are cores."""
    tasks = [
        (folder, method, index, min(trials, _SLOW.get(method, trials)), "none")
        for index in range(replays)
        for method in methods
    ]
    if OURS in methods:
        tasks += [(folder, OURS, i, min(trials, _MOST), _ASHA) for i in range(replays)]
    # A replay a core.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        return pd.concat(pool.starmap(replayed, tasks, chunksize=1), ignore_index=True)


def at(found: pd.DataFrame, trials: int) -> pd.DataFrame:
    """The hypervolume after so many trials: a row a replay, a column a method."""
    rows = found[found.trials == trials]
    return rows.pivot(index="replay", columns="method", values="selected")


def trials_to(found: pd.DataFrame, method: str, wanted: pd.Series) -> pd.Series:
    """Trials after which a method has what is wanted in each replay; infinite where never."""
    own = found[found.method == method].set_index("replay")
    reached = own[own.selected >= own.index.map(wanted)]
    first = reached.groupby("replay").trials.min()
    return first.astype(float).reindex(wanted.index, fill_value=np.inf)


def figures(found: pd.DataFrame) -> dict[str, Any]:
    """What is printed."""
    plain = found[found.scheduler == "none"]
    result: dict[str, Any] = {"replays": plain.replay.nunique()}
    if OURS in set(plain.method):
        result |= compared(plain)
        result["trained"] = compared(plain.assign(selected=plain.trained))
        result["scheduled"] = scheduled(found[found.method == OURS])
    result["hypervolume"] = {
        method: {
            int(count): _quartiles(rows.selected)
            for count, rows in own[own.trials.isin(COUNTS)].groupby("trials")
        }
        for method, own in plain.groupby("method")
    }
    return result


def compared(plain: pd.DataFrame) -> dict[str, Any]:
    """`OURS` against chance and the best baseline."""
    replays, most = plain.replay.nunique(), int(plain.trials.max())
    wanted = at(plain, most)[CHANCE]
    result: dict[str, Any] = {f"trials_to_random_{most}": _reached(trials_to(plain, OURS, wanted))}
    chooses, compares = plain[plain.replay < replays // 2], plain[plain.replay >= replays // 2]
    best, both = _best_baseline(chooses, 50), at(compares, 50)
    result["over_best_at_50"] = {"baseline": best} | _mean(both[OURS] - both[best])
    count = min(most, _MOST)
    best = _best_baseline(chooses, count)
    ratios = trials_to(compares, OURS, at(compares, count)[best]) / count
    result[f"ratio_to_best_at_{count}"] = {"baseline": best, **_reached(ratios)}
    return result


def _best_baseline(found: pd.DataFrame, trials: int) -> str:
    medians = at(found, trials).drop(columns=OURS).median()
    return str(medians.idxmax())


def scheduled(own: pd.DataFrame) -> dict[str, Any]:
    """`OURS` under the scheduler against itself without."""
    count = min(own.trials.max(), _MOST)
    ended = own[own.trials == count].set_index("replay")
    plain, sooner = (ended[ended.scheduler == name] for name in ("none", _ASHA))
    rest = own[(own.scheduler == "none") & (own.seconds <= own.replay.map(sooner.seconds))]
    same_time = rest.groupby("replay").last()
    # Which seed is seen alternates.
    alike = plain.rename(index=lambda replay: replay - SEEDS)
    losses = plain[_STRATUM] - sooner[_STRATUM]
    return {
        **_losses(losses),
        "time_ratio": float((sooner.seconds / plain.seconds).median()),
        "by_stratum": [_mean(losses[name]) for name in _STRATUM],
        "same_time": _losses(plain[_STRATUM] - same_time[_STRATUM]),
        "over_same_time": _mean(sooner.selected - same_time.selected),
        "alike": _losses((plain[_STRATUM] - alike[_STRATUM]).dropna()),
    }


def _losses(losses: pd.DataFrame) -> dict[str, float]:
    most = losses.max(axis=1)
    return {
        "share_within": float((most <= _LOSS).mean()),
        "loss_median": float(most.median()),
        "loss_most": float(most.max()),
    }


def _mean(values: pd.Series) -> dict[str, float]:
    low, high = intervals.mean(values.to_numpy())
    return {"mean": float(values.mean()), "low": low, "high": high}


def _reached(values: pd.Series) -> dict[str, float | None]:
    return _quartiles(values) | {"reached": float(np.isfinite(values).mean())}


def _quartiles(values: pd.Series) -> dict[str, float | None]:
    quarters = np.quantile(values, [0.25, 0.5, 0.75], method="higher").tolist()
    names = ("quarter", "median", "three_quarters")
    return {n: v if np.isfinite(v) else None for n, v in zip(names, quarters, strict=True)}


def draw(found: pd.DataFrame, path: Path, name: str) -> None:
    """Hypervolume against trials and against training time: medians and quartiles."""
    plain = found[found.scheduler == "none"]
    by_trials, by_time = [], []
    for method in METHODS:
        own = plain[plain.method == method]
        if own.empty:
            continue
        quarters = own.groupby("trials").selected.quantile([0.25, 0.5, 0.75]).unstack()
        minutes = own.groupby("trials").seconds.median() / 60
        colour, width = _COLOURS[method], 2.2 if method == OURS else 1.2
        for panel, x in ((by_trials, quarters.index), (by_time, minutes)):
            panel += [
                Series(method, "band", list(x), low=list(quarters[0.25]), high=list(quarters[0.75]),
                       colour=colour, legend=False),
                Series(method, "line", list(x), list(quarters[0.5]), colour=colour, width=width),
            ]  # fmt: skip
    low = float(plain[plain.trials >= 5].selected.quantile(0.02))
    y = Axis("hypervolume of what is selected", range=(low, float(plain.selected.max())))
    first = plain[plain.trials == _DRAWN].seconds.median() / 60
    trials = Axis("trials", log=True, range=(_DRAWN, plain.trials.max()))
    time = Axis(
        "training time so far, minutes of one core", log=True,
        range=(first, plain.seconds.max() / 60),
    )  # fmt: skip
    chart = Chart(
        name=path.stem,
        title="Hypervolume of what is selected, by its true accuracy",
        caption="",
        panels=(
            Panel(trials, y, tuple(by_trials)),
            Panel(time, y, tuple(by_time)),
        ),
        height=5,
    )
    replays = plain.replay.nunique()
    figure = matplotlib.figure(
        chart,
        f"{replays} replays of {name}: medians and quartiles of true accuracy × log10 parameters.",
    )
    path.with_suffix(".svg").write_bytes(pictures(figure)["svg"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replays", type=int, default=20, help="of each method (20)")
    parser.add_argument("--trials", type=int, help="of each replay (200, held back 80)")
    parser.add_argument("--methods", default=",".join(METHODS), help="all, if not given")
    parser.add_argument("--held-back", action="store_true", help="on the held-back space")
    arguments = parser.parse_args()
    methods = arguments.methods.split(",")
    unknown = sorted(set(methods) - METHODS.keys())
    if unknown or CHANCE not in methods:
        parser.error(f"--methods: {CHANCE} and any of {', '.join(METHODS)}, not {unknown}")
    folder = HELD_BACK if arguments.held_back else HERE
    trials = arguments.trials or _TRIALS[folder]
    found = curves(folder, methods, arguments.replays, trials)
    result = figures(found)
    what = "search_efficiency_held_back" if arguments.held_back else "search_efficiency"
    path = RESULTS / f"{what}_{hardware()}_{datetime.date.today():%Y%m%d}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    draw(found, path, load(folder)[0].name)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
