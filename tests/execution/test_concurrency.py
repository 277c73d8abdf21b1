"""How many attempts really run at a time, and how soon the place of an ended one is filled."""

import json
import os
import subprocess
import sys
from pathlib import Path

STUDY = """\
study: short
space: space.yaml
search: {sampler: random, trials: 24}
compute: {concurrent: 2}
"""
SPACE = "architecture: sret_digits\naxes: {recipe.lr: {low: 1e-4, high: 1e-2, log: true}}\n"
RUN = """
import json, sys, time
from pathlib import Path
from sret_search.execution import local_ray
from sret_search.trials import lease
from sret_search.trials.ledger import Ledger
from sret_search.execution.run import search
from sret_search.study import load_study

local_ray.cpus = lambda: 4

def work(config):
    from ray import tune
    from sret_search.job import Job
    begun = time.time()
    attempt, job = Path(config["attempt"]), Job.from_dict(json.loads(config["job"]))
    # While the first two train, a process for a third would have the time to start.
    time.sleep(8.0 if attempt.parent.name in ("00000", "00001") else 0.1)
    result = {
        "state": "complete", "job": job.identity, "val_accuracy": 0.5, "val_loss": 1.0,
        "test_accuracy": 0.5, "test_loss": 1.0, "reruns": [], "epochs": 1, "steps": 1,
        "seconds": 0.1, "history": [], "environment": {},
    }
    (attempt / "worker.json").write_text("{}")
    (attempt / "result.json").write_text(json.dumps(result))
    (attempt / "times.json").write_text(json.dumps([begun, time.time()]))
    tune.report({"ended": True})

study = load_study(Path("study.yaml"))
with lease.hold(study) as held:
    assert search(study, Ledger.create(study, held), work).complete
"""


def test_no_more_run_than_there_are_slots_and_a_free_one_is_filled_at_once(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "study.yaml").write_text(STUDY)
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=tmp_path, env=dict(os.environ), timeout=300,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    times = [json.loads(path.read_text()) for path in tmp_path.rglob("times.json")]
    begun, ended = (sorted(each) for each in zip(*times, strict=True))
    assert len(begun) == 24
    # With two slots the n-th attempt takes the place of the first that ended but n - 2.
    waits = [begun[n] - ended[n - 2] for n in range(2, 24)]
    assert min(waits) >= 0.0
    # On a machine that does other things, too, everything takes longer.
    load = max(os.getloadavg()[0] / len(os.sched_getaffinity(0)), 1.0)
    assert min(waits) < 0.2 * load
