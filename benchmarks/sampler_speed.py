"""How long samplers take to ask for a trial, as trials grow, on one core.

    OMP_NUM_THREADS=1 python benchmarks/sampler_speed.py      # some 5 minutes

Trials are made up, all complete, of a space of more than a million candidates, so that none is
used up; the samplers are driven as a run drives them, without Ray and without a ledger. The first
ask after a start, which takes in all trials, is told apart from the median of the following ones,
each after one more result. All is measured three times, since other work of the machine can only
make it slower; the fastest time counts. Writes benchmarks/results/sampler_speed_<hardware>_<date>.json
and prints the same: milliseconds by sampler and trials, of the processor's time (`first`, `median`,
`slowest`) and on the clock (`wall`, the median).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import dataclasses
import datetime
import json
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from trial_overhead import hardware

from sret_search.trials.trial_result import TrialResult

RESULTS = Path(__file__).resolve().parent / "results"
SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {low: 1, high: 16, log: true}
  stages.*.unique: {choices: [1, 2, 4, 8]}
  stages.*.mlp_ratio: {low: 1.0, high: 4.0}
  nll.share: {choices: [none, block, execution]}
  residual.kind: {choices: [lrc, scaled, layerscale]}
  recipe.lr: {low: 1e-4, high: 1e-2, log: true}
"""
STUDY = """\
study: speed
space: space.yaml
search: {sampler: SAMPLER, trials: 1000000}
"""
ASKS, REPEATS = 12, 3


def ended(entry: Any) -> Any:
    """A trial with a result: better with depth, and at a learning rate of 1e-3."""
    lr = entry.values["recipe.lr"]
    odds = math.log2(entry.cost["executions"]) / 3 - math.log10(lr / 1e-3) ** 2
    odds += 0.1 * math.sin(1e9 * lr)  # noise that is always the same
    accuracy = 1 / (1 + math.exp(-1.4 - odds))
    loss = math.log1p(math.exp(-odds))
    result = TrialResult("complete", val_accuracy=accuracy, val_loss=loss)
    return dataclasses.replace(entry, result=result)


def begun(study: Any, number: int, ask: Any) -> Any:
    from sret_search.trials.trial import TrialRecord

    job = study.job(ask.candidate, 0, "cpu")
    return TrialRecord.begun(number, job, ask.candidate.values, 1258, study.origin)


def measured(sampler: str, sizes: list[int]) -> dict[str, dict[str, float]]:
    """Milliseconds of one sampler, by the number of finished trials."""
    from sret_search.search.samplers import build
    from sret_search.study import load_study

    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text(STUDY.replace("SAMPLER", sampler))
    study = load_study(Path("study.yaml"))
    found, entries = {}, []
    drawn = study.points.at_random()
    for size in sizes:
        while len(entries) < size:
            ask = build.Ask(next(drawn), 0)
            entries.append(ended(begun(study, len(entries), ask)))
        repeats = [_asks(study, entries) for _ in range(REPEATS)]
        found[str(size)] = {
            name: round(min(one[name] for one in repeats), 1) for name in repeats[0]
        }
    return found


def _asks(study: Any, entries: list[Any]) -> dict[str, float]:
    from sret_search.search.samplers import build
    from sret_search.trials.history import History

    history, asker = History(study, entries), build.build(study)
    times, walls = [], []
    for _ in range(ASKS):
        start, begins = time.process_time(), time.perf_counter()
        ask = asker.ask(history)
        times.append(1e3 * (time.process_time() - start))
        walls.append(1e3 * (time.perf_counter() - begins))
        history.begin(begun(study, len(history), ask))
        history.end(ended(history.entries[-1]))
    return {
        "first": times[0],
        "median": statistics.median(times[1:]),
        "slowest": max(times[1:]),
        "wall": statistics.median(walls[1:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samplers", nargs="+", default=["frontier", "tpe"])
    parser.add_argument("--trials", nargs="+", type=int, default=[100, 1000, 10_000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = {one: measured(one, arguments.trials) for one in arguments.samplers}
        os.chdir("/")
    name = f"sampler_speed_{hardware()}_{datetime.date.today():%Y%m%d}.json"
    (RESULTS / name).write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
