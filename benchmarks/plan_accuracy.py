"""How long `plan --calibrate` says that studies take, beside what they then take, in one run.

    python benchmarks/plan_accuracy.py                       # 2 CPU cores: some 15 minutes
    python benchmarks/plan_accuracy.py studies/elastic.yaml  # of others

Each study is measured, predicted and then run in a new folder of its own, so that nothing is
known of it but what `plan --calibrate` measured. The machine should be otherwise idle all the
while: what slows the calibration or the study alone counts as an error of the prediction.

Writes benchmarks/results/plan_accuracy_<hardware>_<date>.json and prints the same figures
last, as one JSON object. By study:

    predicted, actual     seconds of wall time of the whole study, from start to report
    ratio                 of the two
    trials_predicted, trials_actual, trials_ratio
                          seconds of all trials' steps, evaluations and reruns; the actual ones
                          are without the test and the reruns, and without their first seconds
    guessed_ratio         predicted without a calibration, over the actual seconds
    calibration           seconds that the calibration took
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from trial_overhead import hardware

ROOT = Path(__file__).parents[1]
STUDIES = ("smoke", "depth_scaling", "small_search")


def ours(folder: Path, *command: str) -> tuple[str, float]:
    """What a command prints, and its seconds."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout, time.perf_counter() - begun


def compared(study: Path, folder: Path) -> dict[str, Any]:
    """A study predicted, then run, in a new folder."""
    shutil.copytree(study.parent, folder / "studies")
    shutil.copytree(study.parent.parent / "spaces", folder / "spaces")
    name = f"studies/{study.name}"
    guessed = json.loads(ours(folder, "sret_search", "plan", name, "--json")[0])
    text, calibration = ours(folder, "sret_search", "plan", name, "--json", "--calibrate")
    predicted = json.loads(text)
    _, actual = ours(folder, "sret_search.run", name)
    trials = pd.read_csv(folder / "reports" / predicted["study"] / "trials.csv").seconds.sum()
    wanted = predicted["time"]
    return {
        "predicted": wanted["seconds"],
        "actual": actual,
        "ratio": wanted["seconds"] / actual,
        "trials_predicted": wanted["seconds_of_trials"],
        "trials_actual": trials,
        "trials_ratio": wanted["seconds_of_trials"] / trials,
        "guessed_ratio": guessed["time"]["seconds"] / actual,
        "calibration": calibration,
        "trials": predicted["trainings"]["total"],
        "at_a_time": predicted["compute"]["at_a_time"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shipped = [ROOT / "studies" / f"{name}.yaml" for name in STUDIES]
    parser.add_argument("studies", metavar="STUDY", nargs="*", type=Path, default=shipped)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for study in arguments.studies:
        with tempfile.TemporaryDirectory() as folder:
            figures[study.stem] = compared(study.resolve(), Path(folder))
        print(f"{study.stem}: {figures[study.stem]}", file=sys.stderr, flush=True)
    name = f"plan_accuracy_{hardware()}_{datetime.date.today():%Y%m%d}.json"
    results = Path(__file__).parent / "results" / name
    results.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
