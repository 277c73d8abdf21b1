"""Does depth have anything to say in the space of the table? Random candidates, trained before
the table was, tell.

    python benchmarks/tabular/pilot.py          # 60 candidates, 2 seeds each: 4 minutes on 1 core
    python benchmarks/tabular/pilot.py --table  # the same shares of the whole table, once it is made

Writes benchmarks/tabular/pilot.json (of the table it prints alone): each training, and shares of the variance of the validation
cross-entropy over all trainings:

    seeds       what is left between trainings of one candidate
    depth       unique blocks, loops, NLL and residual scale together: what the main effects of these
                four axes add to those of the others (type II sums of squares, each value of an axis
                a level), less what as many levels would add by chance (as in ω²)
    depth_held_out  the same question to gradient boosting, which knows interactions: the R² on
                candidates that were left out, less that of the other axes alone
    width       likewise the main effect of the width and the MLP ratio
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict

from sret_search.space.candidate import Candidate
from sret_search.study import Study, load_study
from sret_search.training.train import train

HERE = Path(__file__).parent
DEPTH = ("stages.*.unique", "stages.*.loops", "nll.share", "residual.p")
_LOSS = "val_loss"


def trained(study: Study, candidate: Candidate, seed: int) -> dict[str, Any]:
    """How one training ends, and its seconds of CPU time."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        job = study.job(candidate, seed, "cpu")
        result = train(job, Path(folder) / "trial" / "attempt", lambda metrics: None).to_dict()
        seconds = time.process_time() - begun
    kept = {name: result.get(name) for name in ("state", _LOSS, "val_accuracy", "test_accuracy")}
    costs = {"params": candidate.cost.params, "executions": candidate.cost.executions}
    return {"candidate": candidate.name, "seed": seed, **candidate.values, **costs, **kept,
            "cpu_seconds": round(seconds, 3)}  # fmt: skip


def shares(trials: pd.DataFrame, axes: list[str]) -> dict[str, float]:
    """Shares of the variance of the validation cross-entropy."""
    loss = trials[_LOSS].to_numpy(float)
    total = float(((loss - loss.mean()) ** 2).sum())
    means = trials.groupby("candidate")[_LOSS].transform("mean").to_numpy(float)
    candidates = trials.candidate.nunique()
    of_seed = float(((loss - means) ** 2).sum()) / (len(trials) - candidates)
    depth, others = [a for a in axes if a in DEPTH], [a for a in axes if a not in DEPTH]
    rest, free = _residual(trials, axes)
    chance = rest / free

    def added(by: list[str]) -> float:
        without, more_free = _residual(trials, [a for a in axes if a not in by])
        return (without - rest - (more_free - free) * chance) / total

    held_out = _held_out(trials, axes) - _held_out(trials, others)
    return {
        "seeds": of_seed * len(trials) / total,
        "depth": added(depth),
        "depth_held_out": held_out,
        "width": added(others),
    }


def _residual(trials: pd.DataFrame, axes: list[str]) -> tuple[float, int]:
    """Sum of squares that main effects leave of the loss, and its degrees of freedom."""
    levels = [pd.get_dummies(trials[a].astype(str), drop_first=True) for a in axes]
    x = np.column_stack([np.ones(len(trials)), *levels]).astype(float)
    y = trials[_LOSS].to_numpy(float)
    fit, _, rank, _ = np.linalg.lstsq(x, y, rcond=None)
    return float(((y - x @ fit) ** 2).sum()), len(y) - int(rank)


def _held_out(trials: pd.DataFrame, axes: list[str]) -> float:
    """R² of gradient boosting on candidates that it has not seen, of the means over seeds."""
    mean = trials.groupby("candidate").agg({_LOSS: "mean", **dict.fromkeys(axes, "first")})
    x: NDArray[np.float64] = np.column_stack([pd.factorize(mean[a], sort=True)[0] for a in axes])
    y = mean[_LOSS].to_numpy(float)
    model = GradientBoostingRegressor(n_estimators=200, max_depth=3, subsample=0.7, random_state=0)
    seen = cross_val_predict(model, x, y, cv=KFold(10, shuffle=True, random_state=0))
    return 1 - float(((y - seen) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--study", type=Path, default=HERE / "study.yaml")
    parser.add_argument("--out", type=Path, default=HERE / "pilot.json")
    parser.add_argument("--table", action="store_true", help="train nothing: read trials.parquet")
    arguments = parser.parse_args()
    study = load_study(arguments.study)
    axes = [path for path, axis in study.space.axes.items() if axis.same_as is None]
    if arguments.table:
        table = pd.read_parquet(HERE / "trials.parquet")
        print(json.dumps(shares(table[(table.state == "complete") & (table.seed < 2)], axes)))
        return
    drawn = list(itertools.islice(study.points.at_random(), arguments.candidates))
    rows = [trained(study, one, seed) for one in drawn for seed in range(study.file.search.seeds)]
    trials = pd.DataFrame(rows)
    ended = trials[trials.state == "complete"]
    seconds = trials.cpu_seconds
    figures = {
        "trainings": len(trials),
        "diverged": len(trials) - len(ended),
        "variance_shares": {k: round(v, 4) for k, v in shares(ended, axes).items()},
        "val_accuracy": ended.val_accuracy.quantile([0, 0.1, 0.5, 0.9, 1]).round(4).tolist(),
        "cpu_seconds": {"median": round(seconds.median(), 3), "mean": round(seconds.mean(), 3),
                        "most": round(seconds.max(), 3)},
    }  # fmt: skip
    arguments.out.write_text(json.dumps({**figures, "trials": rows}, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
