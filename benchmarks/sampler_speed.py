"""How long samplers take to ask for a trial, as trials grow, on one core.

    OMP_NUM_THREADS=1 python benchmarks/sampler_speed.py      # some 5 minutes

Trials are made up, all complete, of a space of more than a million candidates, so that none is
used up; the samplers are driven as a run drives them, without Ray and without a ledger. The first
ask after a start, which takes in all trials, is told apart from the median of the following ones,
each after one more result. Prints one JSON object of milliseconds, by sampler and trials.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import dataclasses
import json
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

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
ASKS = 12


def ended(entry: Any) -> Any:
    """A trial with a result: better with depth, and at a learning rate of 1e-3."""
    lr = entry.values["recipe.lr"]
    odds = math.log2(entry.cost["executions"]) / 3 - math.log10(lr / 1e-3) ** 2
    odds += 0.1 * math.sin(1e9 * lr)  # noise that is always the same
    accuracy = 1 / (1 + math.exp(-1.4 - odds))
    result = {"val_loss": math.log1p(math.exp(-odds)), "val_accuracy": accuracy}
    return dataclasses.replace(entry, state="complete", result=result)


def begun(study: Any, number: int, ask: Any) -> Any:
    from sret_search.search.entry import Entry

    job = study.job(ask.candidate, 0, "cpu")
    return Entry.begun(number, job, ask.candidate.values, 1258, study.origin, ask.notes)


def measured(sampler: str, sizes: list[int]) -> dict[str, dict[str, float]]:
    """Milliseconds of one sampler, by the number of finished trials."""
    from sret_search.search.history import History
    from sret_search.search.samplers import sampling
    from sret_search.study import load_study

    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text(STUDY.replace("SAMPLER", sampler))
    study = load_study(Path("study.yaml"))
    found, entries = {}, []
    drawn = study.points.at_random()
    for size in sizes:
        while len(entries) < size:
            ask = sampling.Ask(next(drawn), 0)
            entries.append(ended(begun(study, len(entries), ask)))
        history, times = History(study, entries), []
        asker = sampling.build(study, {})
        for _ in range(ASKS):
            start = time.process_time()
            ask = asker.ask(history)
            times.append(1e3 * (time.process_time() - start))
            history.begin(begun(study, len(history), ask))
            history.end(ended(history.entries[-1]))
        found[str(size)] = {
            "first": round(times[0], 1),
            "median": round(statistics.median(times[1:]), 1),
            "slowest": round(max(times[1:]), 1),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samplers", nargs="+", default=["frontier", "tpe"])
    parser.add_argument("--trials", nargs="+", type=int, default=[100, 1000, 10_000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        print(json.dumps({one: measured(one, arguments.trials) for one in arguments.samplers}))
        os.chdir("/")


if __name__ == "__main__":
    main()
