"""Whether a sampler finds a better front in real studies, with as many trials as the others.

    python benchmarks/real_search.py                # 2 CPU cores: some 7 minutes
    python benchmarks/real_search.py --repeats 3    # three times that, and intervals

Each sampler searches the same space in a study of its own, which is run as any other one: by
`python -m sret_search.run`, with Ray, a ledger and a report, in a temporary folder. The space has
the architecture of benchmarks/tabular/held_back, and ranges where that has choices; data and
recipe are its own, but for the learning rate, which is searched. When a study's trials have ended,
the front that they show is trained again with fresh seeds, which decide the front anew, by
validation; and the mean test accuracies of what is on it are what a sampler has found.

Writes benchmarks/results/real_search_<hardware>_<date>.json and prints the same figures last, as
one JSON object:

    studies     of each study: its `sampler` and `seed`; complete `trials` and those that were `lost`
                (diverged); `members` of the front that was trained again, and those still `on_front`;
                the `hypervolume` of these, test accuracy × log10 parameters above the reference;
                `seen`, the hypervolume that the trials themselves showed on validation;
                `train_seconds` of the trials, `seconds` of wall time of the whole study
    reference   of all hypervolumes
    over        by the name of every other sampler: the hypervolume of the first sampler less its
                own, of each repeat; with two or more the mean and its 95 % interval (t, paired)
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML
from tabular.table import HELD_BACK
from trial_overhead import hardware

from sret_search.pareto import hypervolume
from sret_search.reporting.statistics import intervals

RESULTS = Path(__file__).parent / "results"
SAMPLERS = ("frontier", "random", "stratified")
SPACE = """\
axes:
  stages.0.width: {low: 4, high: 24}
  stages.1.width: {same_as: stages.0.width, times: 2}
  stages.*.unique: {low: 1, high: 3}
  stages.*.loops: {low: 1, high: 6}
  stages.*.mlp_ratio: {low: 1.0, high: 3.0}
  stages.0.groups: {choices: [[1], [2], [4]]}
  permutation: {choices: [none, stride], when: {stages.0.groups: [[2], [4]]}}
  order: {choices: [sequence, cycle], when: {stages.*.unique: [2, 3]}}
  nll.share: {choices: [none, block, execution]}
  nll.ratio: {low: 0.25, high: 1.0, when: {nll.share: [block, execution]}}
  residual.kind: {choices: [lrc, layerscale, scaled]}
  recipe.lr: {low: 2e-3, high: 2e-2, log: true}
budget:
  executions: {max: 24}
  params: {max: 60_000}
"""
_CONFIRM = 3
"""Fresh seeds of each member of a front."""
_APART = 100
"""Between the seeds of two repeats: none has a training's seed in common with another."""


def written(sampler: str, seed: int, trials: int, folder: Path) -> Path:
    """The file of a study, with that of its space beside it."""
    yaml = YAML(typ="safe", pure=True)
    held, study = (yaml.load(HELD_BACK / name) for name in ("space.yaml", "study.yaml"))
    space = {"architecture": held["architecture"], **yaml.load(SPACE)}
    del study["test_curve"]
    study |= {
        "study": sampler,
        "objectives": {"accuracy": "max", "params": "min"},
        "search": {"sampler": sampler, "trials": trials, "seed": seed},
        "confirm": {"seeds": _CONFIRM},
    }
    # JSON is YAML.
    (folder / "space.yaml").write_text(json.dumps(space))
    file = folder / "study.yaml"
    file.write_text(json.dumps(study))
    return file


def searched(sampler: str, seed: int, trials: int) -> dict[str, Any]:
    """What a study of a sampler found."""
    with tempfile.TemporaryDirectory() as folder:
        file = written(sampler, seed, trials, Path(folder))
        begun = time.monotonic()
        command = [sys.executable, "-m", "sret_search.run", file.name]
        # Only figures go to the standard output.
        subprocess.run(command, cwd=folder, stdout=sys.stderr, check=True)
        seconds = time.monotonic() - begun
        report = Path(folder) / "reports" / sampler
        summary = json.loads((report / "summary.json").read_text())
        table = pd.read_csv(report / "trials.csv")
    found = {"sampler": sampler, "seed": seed, **outcome(summary, table)}
    return found | {"seconds": round(seconds, 1)}


def outcome(summary: dict[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """The figures of a study, from its report."""
    own = table[table.role == "search"]
    reference = summary["hypervolume"]
    front = [one for one in summary["confirmed"] if one["on_front"]]
    area = hypervolume(
        [one["test"] for one in front],
        [one["params"] for one in front],
        reference["accuracy"],
        reference["params"],
    )
    return {
        "trials": int((own.state == "complete").sum()),
        "lost": int((own.state == "diverged").sum()),
        "members": len(summary["confirmed"]),
        "on_front": len(front),
        "hypervolume": area,
        "seen": reference["value"],
        "reference": {name: reference[name] for name in ("accuracy", "params")},
        "train_seconds": round(float(own.seconds.sum()), 1),
    }


def figures(studies: list[dict[str, Any]]) -> dict[str, Any]:
    """What is printed. The first study's sampler is held against all others."""
    areas = pd.DataFrame(studies).pivot(index="seed", columns="sampler", values="hypervolume")
    (reference,) = {json.dumps(one["reference"]) for one in studies}
    first = studies[0]["sampler"]
    return {
        "studies": [{k: v for k, v in one.items() if k != "reference"} for one in studies],
        "reference": json.loads(reference),
        "over": {name: _gains(areas[first] - areas[name]) for name in areas if name != first},
    }


def _gains(gains: pd.Series) -> dict[str, Any]:
    found: dict[str, Any] = {"each": gains.tolist()}
    if len(gains) > 1:
        low, high = intervals.mean(gains.to_numpy())
        found |= {"mean": float(np.mean(gains)), "low": low, "high": high}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=1, help="with other seeds (1)")
    parser.add_argument("--trials", type=int, default=60, help="of each study (60)")
    parser.add_argument("--samplers", default=",".join(SAMPLERS), help=f"({','.join(SAMPLERS)})")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the figures")
    arguments = parser.parse_args()
    found = figures(
        [
            searched(sampler, repeat * _APART, arguments.trials)
            for repeat in range(arguments.repeats)
            for sampler in arguments.samplers.split(",")
        ]
    )
    name = f"real_search_{hardware()}_{datetime.date.today():%Y%m%d}.json"
    (arguments.results / name).write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
