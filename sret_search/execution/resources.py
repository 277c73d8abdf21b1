"""Resources: the number of trials that run at a time, and the CPUs and GPUs of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sret_search.config.problems import shown
from sret_search.execution.nodes import ask_node
from sret_search.job import step_memory
from sret_search.planning.plan import training_plan
from sret_search.space.candidate import Candidate
from sret_search.study import Study, StudyError

CONTEXT = 600 * 2**20
"""Bytes of a GPU that a process takes for CUDA itself."""
_SLACK = 1.2
"""Factor over the predicted memory of a training step, for fragments of the allocator."""
_SMALLEST = 16
"""Largest number of trials that share a GPU. More would take turns and gain nothing."""
_DRAWS = 256
"""Candidates whose memory is computed if the space is not a grid."""


@dataclass(frozen=True)
class Slots:
    """The number of trials that run at a time, and the CPUs and GPUs of each."""

    number: int
    cpus: int
    gpus: float


@dataclass(frozen=True)
class Room:
    """Resources of a node for trials: CPUs, GPUs, and bytes of memory of its smallest GPU."""

    cpus: float
    gpus: float = 0.0
    memory: int = 0

    def fits(self, cpus: int, gpus: float) -> int:
        """Number of trials that fit the node at a time. No trial spans two nodes."""
        by_cpus = int(self.cpus // cpus)
        if gpus == 0:
            return by_cpus
        # A trial may have several whole GPUs, but not parts of two.
        by_gpus = int(self.gpus // gpus) if gpus >= 1 else int(self.gpus) * int(1 / gpus + 1e-9)
        return min(by_cpus, by_gpus)


def slots(study: Study, before: Slots | None = None, left_out: Collection[str] = ()) -> Slots:
    """The slots of the cluster in its present state.

    On a cluster, a number in `compute.concurrent` is used as it is: trials wait until the cluster
    has grown. On a single machine it is a maximum.

    Args:
        before: the slots when the run began. The resources of a trial then stay the same, only the
            number changes, and no error is raised. Without nodes, one trial waits for the next
            node.
        left_out: ids of nodes that get no trials.

    Raises:
        StudyError: no node has the CPUs and GPUs that a trial asks for.
    """
    compute = study.file.compute
    rooms = _rooms(before is None and compute.gpus_per_trial == "auto", left_out)
    if before is None:
        need = _need(study) if any(room.memory for room in rooms) else 0
        limit = None if compute.concurrent == "auto" else compute.concurrent
        gpus = compute.gpus_per_trial
        if gpus == "auto":
            gpus = part_of_gpu(rooms, compute.cpus, compute.processes, need, limit)
        before = Slots(0, compute.cpus, gpus)
        waits = compute.address != "local" and limit is not None
        if not waits and not any(room.fits(before.cpus, before.gpus) for room in rooms):
            raise StudyError(f"{shown(study.path)}: {_refusal(rooms, before, compute.address)}")
    return replace(before, number=_number(study, rooms, before))


def part_of_gpu(
    rooms: list[Room], cpus: int, processes: int, need: float, limit: int | None
) -> float:
    """The GPUs of a trial: one for each of its processes, or 1, 1/2, 1/4, … of a GPU.

    A part is the smallest that holds a trial. It is not smaller than the CPUs and the number of
    trials at a time can use.

    Args:
        need: bytes of GPU memory of a trial; 0 if unknown.
        limit: number of trials at a time; None if the resources alone limit it.
    """
    with_gpus = [room for room in rooms if room.gpus >= 1]
    if not with_gpus:
        return 0.0
    if processes > 1:
        return float(processes)
    memory = min(room.memory for room in with_gpus)
    useful = max(room.cpus // cpus / room.gpus for room in with_gpus)
    if limit is not None:
        useful = min(useful, limit / sum(room.gpus for room in with_gpus))
    trials = 1
    while 2 * trials <= min(useful, _SMALLEST) and 0 < need * 2 * trials <= memory:
        trials *= 2
    return 1 / trials


def needed_memory(candidates: list[Candidate], processes: int) -> float:
    """Bytes of GPU memory of the candidate that needs most in training."""
    needs = (step_memory(c.architecture, c.recipe, processes) for c in candidates)
    return _SLACK * max(needs, default=0) + CONTEXT


def _need(study: Study) -> float:
    candidates = [c for phase in training_plan(study, _DRAWS) for c in phase.candidates]
    return needed_memory(candidates, study.file.compute.processes)


def _number(study: Study, rooms: list[Room], each: Slots) -> int:
    compute = study.file.compute
    fits = sum(room.fits(each.cpus, each.gpus) for room in rooms)
    if compute.concurrent == "auto":
        return max(fits, 1)
    return compute.concurrent if compute.address != "local" else min(fits, compute.concurrent)


def _refusal(rooms: list[Room], each: Slots, address: str) -> str:
    cpus = max((room.cpus for room in rooms), default=0)
    gpus = max((room.gpus for room in rooms), default=0)
    demand = f"a trial asks for {each.cpus} CPUs and {each.gpus:g} GPUs"
    if address == "local":
        return f"{demand}, this machine has {cpus:g} and {gpus:g}"
    most = f"no node has both; the largest have {cpus:g} and {gpus:g}"
    return f"{demand}, {most}; to wait for such a node, give compute.concurrent a number"


def _rooms(measure: bool, left_out: Collection[str]) -> list[Room]:
    """The resources of the nodes of the cluster.

    Args:
        measure: whether to measure the memory of their GPUs.
        left_out: ids of nodes to leave out.
    """
    import ray

    rooms, waiting = [], {}
    for node in ray.nodes():
        if not node["Alive"] or node["NodeID"] in left_out:
            continue
        has = node["Resources"]
        rooms.append(Room(has.get("CPU", 0.0), has.get("GPU", 0.0)))
        if measure and has.get("GPU", 0.0) >= 1:
            waiting[len(rooms) - 1] = ask_node(gpu_memory, node["NodeID"])
    for index, answer in waiting.items():
        rooms[index] = replace(rooms[index], memory=_measured(answer))
    return rooms


def _measured(answer: Any) -> int:
    import ray

    try:
        return int(ray.get(answer, timeout=60))
    except (ray.exceptions.RayError, TimeoutError):
        return 0


def gpu_memory() -> int:
    """Bytes of the smallest NVIDIA GPU of this machine; 0 if unknown."""
    from ray._private.thirdparty import pynvml

    try:
        pynvml.nvmlInit()
        try:
            handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
            return min((pynvml.nvmlDeviceGetMemoryInfo(h).total for h in handles), default=0)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return 0
