"""How long a report takes, and how much memory, as trials grow.

    python benchmarks/report_speed.py                          # 1,000, 10,000 and 100,000 trials
    python benchmarks/report_speed.py --trials 10000 --write   # only so many; save the figures

Ledgers and folders are made up, as large as those of real trials of nine epochs: a row each in
SQLite, and a folder each with a checkpoint. The report is drawn by the command, in a process of
its own. Prints one JSON object; with --write also benchmarks/results/report_speed_<hardware>_<date>.json.

    seconds         wall time of the command; cpu_seconds is what it computed, which is the same on a
                    machine that does nothing else
    peak_mb         the most memory that it held
    page_mb         report.html
    heavy           which of torch and Ray it imported: none
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from trial_overhead import hardware

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4, 8, 16]}
  stages.*.unique: {choices: [1, 2, 4, 8]}
  stages.*.mlp_ratio: {choices: [1, 1.5, 2, 3, 4]}
  recipe.lr: {low: 1e-4, high: 1e-2, log: true}
budget: {params: {max: 500_000}}
"""
STUDY = """\
study: speed
space: space.yaml
search: {sampler: random, trials: TRIALS, seeds: 2}
"""
TEMPLATES, EPOCHS = 300, 9
COMMAND = (
    "import sys; from sret_search.__main__ import main; code = main(['report', 'study.yaml']);"
    "print(sorted({'torch', 'ray'} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
)


def make(trials: int) -> None:
    """A study of so many trials in the working directory: of a hundred, one failed, two diverged."""
    from sret_search.study import load_study
    from sret_search.trials.ledger import Ledger
    from sret_search.trials.trial import TrialRecord

    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text(STUDY.replace("TRIALS", str(trials)))
    study = load_study(Path("study.yaml"))
    Ledger.create(study).close()
    drawn, templates = study.points.at_random(), []
    for _ in range(min(TEMPLATES, trials)):
        candidate = next(drawn)
        templates.append(
            TrialRecord.begun(
                0, study.job(candidate, 0, "cpu"), candidate.values, 1258, study.origin
            )
        )
    rng = random.Random(0)
    with contextlib.closing(sqlite3.connect(study.folder / "study.db")) as db, db:
        for number in range(trials):
            kind, attributes = trial(templates, number, rng)
            now = "2026-11-25 12:00:00.000000"
            row = (number + 1, number, 1, kind, now, now)
            db.execute("INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?)", row)
            db.executemany(
                "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
                [(number + 1, key, json.dumps(value)) for key, value in attributes.items()],
            )
            attempt = Path(study.trials_root, f"{number:05d}", "attempt-1")
            attempt.mkdir(parents=True)
            (attempt / "checkpoint-00000180.pt").touch()


def trial(templates: list[Any], number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
    """The state of a made-up trial, as Optuna calls it, and its attributes."""
    candidate = number // 2
    entry = templates[candidate % len(templates)]
    attributes = dict(entry.attributes)
    size = entry.cost["params"] + candidate // len(templates)
    cost = entry.cost | {"params": size, "macs": entry.cost["macs"] + candidate}
    facts = {"candidate": f"{candidate:08x}", "seed": number % 2, "cost": cost}
    attributes["facts"] = attributes["facts"] | facts
    if number % 100 in (7, 8, 9):
        state = "failed" if number % 100 == 7 else "diverged"
        return "FAIL", attributes | {"outcome": {"state": state, "reason": "nan", "attempts": 1}}
    reached = 0.98 - 2000 / (size + 4000) + rng.gauss(0, 0.01)
    history = [
        {
            "epoch": epoch, "step": 20 * epoch, "train_loss": 2.3 / epoch + rng.random() / 10,
            "val_loss": 2.0 / epoch + rng.random() / 10, "seconds": 1.1 * epoch,
            "val_accuracy": reached * (1 - 0.5**epoch), "learning_rate": 1e-3 * rng.random(),
        }
        for epoch in range(1, EPOCHS + 1)
    ]  # fmt: skip
    return "COMPLETE", attributes | {"outcome": {
        "state": "complete", "val_accuracy": reached, "val_loss": 1 - reached,
        "test_accuracy": reached - 0.01, "test_loss": 1.0, "epochs": EPOCHS, "steps": 180,
        "seconds": 10 * rng.random(), "attempts": 1, "reruns": [], "history": history,
        "environment": {"torch": "2.13.0", "python": "3.12.1", "cpu": "made up", "threads": 1},
    }}  # fmt: skip


def measure(trials: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make(trials)
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        said = process.stderr.read().decode().strip()
        _, status, used = os.wait4(process.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, said
        page = Path("reports/speed/report.html").stat().st_size
        return {
            "seconds": round(time.perf_counter() - start, 2),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
            "peak_mb": round(used.ru_maxrss / 1024),
            "page_mb": round(page / 1e6, 2),
            "heavy": json.loads(said.splitlines()[-1].replace("'", '"')),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--write", action="store_true", help="save the figures")
    given = parser.parse_args()
    found = {
        "trials": {str(trials): measure(trials) for trials in given.trials},
        "cpus": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
    }
    if given.write:
        name = f"report_speed_{hardware()}_{datetime.date.today():%Y%m%d}.json"
        path = Path(__file__).parent / "results" / name
        path.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
