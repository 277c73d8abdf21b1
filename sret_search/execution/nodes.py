"""Nodes of a cluster: checks that each of them has what a study needs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sret_search.config.problems import shown
from sret_search.job.paths import expanded, is_url
from sret_search.study import Study, StudyError

_ANSWER = 120.0
"""Seconds that a node has to start a worker and check a folder."""

MEND_GPUS = (
    "install the torch and the driver that fit them, or declare only GPUs that torch sees, in"
    " CUDA_VISIBLE_DEVICES (unset it to train on CPUs) or by ray start --num-gpus"
)

_SHARED = (
    "storage.trials must be a folder that all nodes share, or a URL such as s3://bucket/folder"
)


def check(study: Study, trials_root: str) -> None:
    """Check that every node of a cluster reads and writes the folder of trials, and has the data.

    No file is left in the folder. A cluster with a single node is not checked, and neither is the
    folder in an object store.

    Args:
        trials_root: the folder of all trials, absolute, or its URL.

    Raises:
        StudyError: a node does not see a folder, or cannot run this program. The message names
            both.
    """
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    data = study.file.data
    needed = None if data.download else data.imagefolder or data.root
    probe = None if is_url(trials_root) else Path(trials_root) / f".probe-{secrets.token_hex(8)}"
    try:
        if probe is not None:
            probe.parent.mkdir(parents=True, exist_ok=True)
            probe.write_text(probe.name)
        waiting = {
            node["NodeID"]: ask_node(
                look, node["NodeID"], probe and str(probe), needed, node["NodeID"]
            )
            for node in nodes
        }
        for node in nodes:
            problem = answer(waiting[node["NodeID"]])
            if problem is None and probe is not None:
                seen = _reply(probe, node["NodeID"]).exists()
                problem = None if seen else f"does not write into {probe.parent}; {_SHARED}"
            if problem:
                raise StudyError(f"{shown(study.path)}: the node {_name(node)} {problem}")
    finally:
        if probe is not None:
            for path in [*probe.parent.glob(f"{probe.name}*")]:
                path.unlink(missing_ok=True)


def without_cuda(cpus: float, gpus: float) -> dict[str, str]:
    """Problems of the nodes that declare more GPUs than torch sees on them, by node id.

    Empty if trials take no GPU.
    """
    if not gpus:
        return {}
    named, declared = with_room(cpus, gpus), _declared_gpus()
    waiting = {node: ask_node(look_for_cuda, node, declared.get(node, 1)) for node in named}
    problems = {node: answer(pending) for node, pending in waiting.items()}
    return {node: f"{named[node]} {problem}" for node, problem in problems.items() if problem}


def ask_node(work: Callable[..., Any], node: str, *arguments: Any) -> Any:
    """The future answer of a function that runs on a node beside its trials, by the node's id."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(num_cpus=0, max_retries=0)(work).options(scheduling_strategy=here)
    return task.remote(*arguments)


def _declared_gpus() -> dict[str, int]:
    """Number of GPUs that each living node declares, by node id."""
    import ray

    alive = (node for node in ray.nodes() if node["Alive"])
    return {node["NodeID"]: int(node["Resources"].get("GPU", 0)) for node in alive}


def look_for_cuda(declared: int = 1) -> str:
    """The reason why torch does not see all GPUs that this node declares; empty if it does. Runs on
    a node.

    Args:
        declared: number of GPUs. Trials would get the missing ones too.
    """
    import torch

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if seen >= declared:
        return ""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = "" if visible is None else f" (CUDA_VISIBLE_DEVICES={visible} is set there)"
    number = "GPUs" if not seen else f"{declared} GPUs"
    return f"declares {number}, but torch {torch.__version__} sees {seen or 'none'}{named}"


def with_room(cpus: float, gpus: float) -> dict[str, str]:
    """Names of the living nodes that have the resources of a trial, by node id."""
    import ray

    return {
        node["NodeID"]: _name(node)
        for node in ray.nodes()
        if node["Alive"]
        and node["Resources"].get("CPU", 0.0) >= cpus
        and node["Resources"].get("GPU", 0.0) >= gpus
    }


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def answer(waiting: Any) -> str | None:
    """The problem of a node; None if it has none or has left the cluster.

    Args:
        waiting: Ray's reference to the result of a check.
    """
    import ray

    try:
        problem: str | None = ray.get(waiting, timeout=_ANSWER)
    except ray.exceptions.GetTimeoutError:
        return f"did not start a worker within {_ANSWER:g} s"
    except (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError):
        return None
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        return f"cannot run this program ({reason}); it needs the packages that are here"
    return problem or None


def look(probe: str | None, data: str | None, node: str) -> str:
    """The problem of this node, with its solution; empty if there is none. Runs on a node.

    Args:
        probe: a file that the driver wrote into the folder of trials; None if it is not checked.
        data: the folder of the data; None if it is not checked.
    """
    if probe is not None:
        path = Path(probe)
        try:
            if path.read_text() != path.name:
                raise FileNotFoundError
            _reply(path, node).touch()
        except FileNotFoundError:
            return f"does not see {path.parent}; {_SHARED}"
        except OSError as error:
            return f"cannot write into {path.parent} ({error.strerror}); {_SHARED}"
    if data is not None and not Path(expanded(data)).exists():
        where = "" if Path(data).is_absolute() else f" in {Path.cwd()}"
        return f"does not see {data}{where}; the data must lie at the same path on each node"
    return ""


def _reply(probe: Path, node: str) -> Path:
    return probe.with_name(f"{probe.name}-{node}")
