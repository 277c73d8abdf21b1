"""A whole study, beside the scripts that its user would write with Optuna or Ray Tune, in one run.

    python benchmarks/study_speed.py               # 2 CPU cores: some 5 minutes
    python benchmarks/study_speed.py --trials 20   # fewer trials

All train the same candidates of the tabular benchmark's space, drawn at random, on the same digits
by the same recipe, two trials at a time on one core each (`plain_study.py` has the scripts). The
package also writes checkpoints, results, weights, predictions and a ledger. Optuna's script keeps
accuracies alone, and Ray Tune's keeps what Ray Tune keeps.

Writes benchmarks/results/study_speed_<hardware>_<date>.json and prints the same figures last.
Seconds are from the start of a command to its end.

    trials_an_hour, wall_seconds, core_seconds   of each way, the median of the rounds
    over_optuna, over_ray                        trials an hour of the package over those of a script
    first_epoch_seconds                          from the start of a study of a single trial to the
                                                 end of its first epoch of 8 steps
    accuracy                                     mean on validation; seeds and initial weights differ
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from trial_overhead import hardware

import sret_search

HERE = Path(__file__).parent
STUDY = """\
study: speed
space: {space}
data: {{name: digits, split_seed: 0, val: 0.3, test: 0.3}}
recipe: {{epochs: 9, warmup: 1, batch_size: 96, lr: 1e-2}}
search: {{sampler: random, trials: {trials}}}
compute: {{address: local, concurrent: 2, cpus_per_trial: 1}}
"""
COMMANDS = {
    "sret_search": ["-m", "sret_search.run", "study.yaml"],
    "optuna": [str(HERE / "plain_study.py"), "optuna", "candidates.json"],
    "ray": [str(HERE / "plain_study.py"), "ray", "candidates.json"],
}


AXES = {
    "stages.*.width": "width", "stages.*.unique": "unique", "stages.*.loops": "loops",
    "stages.*.mlp_ratio": "mlp_ratio", "nll.share": "nll", "residual.p": "p",
}  # fmt: skip


def timed(way: str, trials: int, candidates: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Run a study in an empty working directory.

    Returns:
        Seconds of wall time, seconds of all cores in the processes of the study, the mean accuracy,
        and the candidates that were trained.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        study = Path("study.yaml")
        space = json.dumps(str(HERE / "tabular" / "space.yaml"))
        study.write_text(STUDY.format(space=space, trials=trials))
        Path("candidates.json").write_text(json.dumps(candidates))
        before, begun = _core_seconds(), time.perf_counter()
        done = subprocess.run([sys.executable, *COMMANDS[way]], capture_output=True, text=True)
        wall, core = time.perf_counter() - begun, _core_seconds() - before
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        if way != "sret_search":
            accuracies = json.loads(done.stdout.splitlines()[-1])
        else:
            table = sret_search.results(study)
            accuracies = table.val_accuracy.tolist()
            candidates = table[list(AXES)].rename(columns=AXES).to_dict("records")
    assert len(accuracies) == trials
    return {
        "wall_seconds": wall,
        "core_seconds": core,
        "accuracy": statistics.mean(accuracies),
        "candidates": candidates,
    }


def _core_seconds() -> float:
    """Seconds that the cores of this machine were busy since its start: Ray's processes are no
    children of the command, and the system must have no other work."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, interrupt, soft, *_ = map(int, fields)
    return (user + nice + system + interrupt + soft) / os.sysconf("SC_CLK_TCK")


def first_epoch() -> float:
    """Seconds from the start of a study to the end of its first epoch."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        space = json.dumps(str(HERE / "tabular" / "space.yaml"))
        Path("study.yaml").write_text(STUDY.format(space=space, trials=1))
        begun = time.time()
        subprocess.run([sys.executable, *COMMANDS["sret_search"]], capture_output=True, check=True)
        result = next(Path("runs/speed/trials").glob("*/*/result.json"))
        seconds = [epoch["seconds"] for epoch in json.loads(result.read_text())["history"]]
        return result.stat().st_mtime - begun - (seconds[-1] - seconds[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60, help="of each study (60)")
    parser.add_argument("--rounds", type=int, default=2, help="repetitions (2)")
    arguments = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in COMMANDS}
    candidates = None
    for _ in range(arguments.rounds):
        for way, taken in runs.items():
            taken.append(timed(way, arguments.trials, candidates))
            candidates = taken[-1].pop("candidates")
            print(way, taken[-1], file=sys.stderr, flush=True)
    figures: dict[str, Any] = {}
    for way, taken in runs.items():
        figures[way] = {key: statistics.median(run[key] for run in taken) for key in taken[0]}
        figures[way]["trials_an_hour"] = 3600 * arguments.trials / figures[way]["wall_seconds"]
    ours = figures["sret_search"]["trials_an_hour"]
    for other in ("optuna", "ray"):
        figures[f"over_{other}"] = ours / figures[other]["trials_an_hour"]
    figures["first_epoch_seconds"] = min(first_epoch() for _ in range(3))
    figures |= {"trials": arguments.trials, "rounds": arguments.rounds}
    name = f"study_speed_{hardware()}_{datetime.date.today():%Y%m%d}.json"
    (HERE / "results" / name).write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
