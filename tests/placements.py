"""Studies whose trials train nothing, but tell where Ray placed them. The GPUs are only declared.

    python placements.py FOLDER CPUS CASES

CASES is JSON: a list of cases, each with the `compute` of a study, the number of its `trials`, the
number that should run `together`, and the `memory` in bytes of the GPUs of a node by their number.
A Ray that is started for the cases has CPUS processors. Writes FOLDER/outcomes.json, a list of what
became of each case.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from made_up import complete

from sret_search.execution import local_ray, nodes, ray_cluster, resources, run, signals
from sret_search.execution.messages import AttemptOrder
from sret_search.job import Job
from sret_search.planning import preflight
from sret_search.study import Study, StudyError, load_study
from sret_search.trials.ledger import Ledger

SPACE = """\
architecture: sret_digits
axes: {recipe.lr: {low: 1e-4, high: 1e-2, log: true}}
"""
STUDY = """\
study: placed
space: space.yaml
data: {name: digits}
recipe: {epochs: 1, batch_size: 64}
search: {sampler: random, trials: TRIALS}
compute: COMPUTE
"""


RESULT = complete(0.5)


def placed(config: dict[str, Any]) -> None:
    """Write where an attempt runs, wait for as many others as should run at a time, and end it."""
    import ray
    from ray import tune

    order = AttemptOrder.from_dict(config)
    attempt = Path(order.attempt)
    job = json.loads(order.job)
    folder = Path(order.root).parents[2]
    together, trials = (int((folder / name).read_text()) for name in ("together", "trials"))
    own = folder / "running" / attempt.parent.name
    own.touch()
    most, end = 0, time.monotonic() + 30
    while time.monotonic() < end:
        before, most = most, max(most, len(list(own.parent.iterdir())))
        left = trials - len(list((folder / "placed").iterdir()))
        if before < min(together, left) <= most:
            end = time.monotonic() + 0.5  # one too many would come now
        time.sleep(0.02)
    where = {
        "node": ray.get_runtime_context().get_node_id(),
        # Ray names the GPUs of a trial in any order.
        "visible": sorted(filter(None, os.environ.get("CUDA_VISIBLE_DEVICES", "").split(","))),
        "gpus": order.gpus,
        "device": job["device"],
        "together": most,
    }
    (folder / "placed" / own.name).write_text(json.dumps(where))
    result = RESULT | {"job": Job.from_dict(job).identity}
    (attempt / "result.json").write_text(json.dumps(result))
    time.sleep(0.3)  # all that ran together have seen one another
    own.unlink()
    tune.report({"ended": True})


def written(folder: Path, case: dict[str, Any]) -> Path:
    """The study file of a case, in a folder of its own."""
    for name in ("running", "placed"):
        (folder / name).mkdir(parents=True)
    together = case.get("together", 1)
    trials = str(case.get("trials", together + 1))
    (folder / "together").write_text(str(together))
    (folder / "trials").write_text(trials)
    (folder / "space.yaml").write_text(SPACE)
    text = STUDY.replace("TRIALS", trials).replace("COMPUTE", json.dumps(case["compute"]))
    (folder / "study.yaml").write_text(text)
    return folder / "study.yaml"


def outcome(path: Path, memory: dict[str, int]) -> dict[str, Any]:
    """What became of a study: where its trials were placed, or the message of its refusal.

    Args:
        memory: bytes of the smallest GPU of a node by its number of GPUs.
    """
    os.chdir(path.parent)
    seen = path.parent / "placed"

    def gpu_memory() -> int:
        import ray

        here = ray.get_runtime_context().get_node_id()
        (node,) = (node for node in ray.nodes() if node["NodeID"] == here)
        return memory.get(f"{node['Resources']['GPU']:g}", 0)

    resources.gpu_memory = gpu_memory
    ledger = None
    try:
        study = load_study(path)
        preflight.check(study)
        ledger = Ledger.create(study)
        with signals.interrupting():
            done = run.search(study, ledger, placed)
    except StudyError as error:
        return {"refused": str(error), "placed": len(list(seen.iterdir()))}
    finally:
        if ledger is not None:
            ledger.close()
    found = [json.loads(path.read_text()) for path in sorted(seen.iterdir())]
    return {"complete": done.complete, "placed": found}


@contextmanager
def kept(study: Study) -> Iterator[Path]:
    """The Ray of all cases, which is already there."""
    yield Path.cwd() / "tune"


def main(folder: Path, cpus: int, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What became of the cases, one after the other in the same Ray."""
    local_ray.cpus = preflight.cpus = lambda: cpus
    nodes.look_for_cuda = lambda *declared: ""
    paths = [written(folder / str(index), case) for index, case in enumerate(cases)]
    with ray_cluster.connected(load_study(paths[0])):
        ray_cluster.connected = kept
        return [
            outcome(path, case.get("memory", {})) for path, case in zip(paths, cases, strict=True)
        ]


if __name__ == "__main__":
    place = Path(sys.argv[1]).resolve()
    found = main(place, int(sys.argv[2]), json.loads(sys.argv[3]))
    (place / "outcomes.json").write_text(json.dumps(found))
