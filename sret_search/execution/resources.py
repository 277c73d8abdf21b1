"""Resources: the number of trials that run at a time, and the CPUs and GPUs of each."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sret_search.config.problems import shown
from sret_search.execution.nodes import ask_node
from sret_search.job import step_memory
from sret_search.machine.hardware import named_gpus, trials_on
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
        return by_cpus if gpus == 0 else min(by_cpus, trials_on(self.gpus, gpus))


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
        StudyError: no node has the CPUs and GPUs that a trial asks for, or the part of a GPU that
            the study gives to a trial is too small for CUDA itself.
    """
    compute = study.file.compute
    gpus = compute.gpus_per_trial
    rooms = _rooms(before is None and (gpus == "auto" or 0 < gpus < 1), left_out)
    if before is None:
        limit = None if compute.concurrent == "auto" else compute.concurrent
        if gpus == "auto":
            need = _need(study) if any(room.memory for room in rooms) else 0
            gpus = part_of_gpu(rooms, compute.cpus, compute.processes, need, limit)
        elif too_small := _too_small(rooms, gpus):
            raise StudyError(f"{shown(study.path)}: {too_small}")
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
    # Nodes without the CPUs of a trial get none: their GPUs do not count.
    with_gpus = [room for room in with_gpus if room.cpus >= cpus] or with_gpus
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


def _too_small(rooms: list[Room], part: float) -> str | None:
    """The reason why no trial fits into a part of a GPU, if it is smaller than CUDA itself."""
    memory = min((room.memory for room in rooms if room.memory), default=0)
    if not memory or part * memory > CONTEXT:
        return None
    least = f"{CONTEXT / memory:.2g}" if memory > CONTEXT else "a whole GPU"
    return (
        f"compute.gpus_per_trial: {part:g} of a GPU of {memory / 2**30:.3g} GiB is"
        f" {part * memory / 2**30:.2g} GiB, but CUDA itself takes {CONTEXT / 2**30:.2g} GiB in each"
        f" process: give each trial more than {least}"
    )


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
    """Bytes of the smallest NVIDIA GPU of this machine that trials may use; 0 if unknown.

    A GPU that is cut into instances (MIG) counts as its instances, and CUDA_VISIBLE_DEVICES leaves
    out GPUs.
    """
    from ray._private.thirdparty import pynvml

    try:
        pynvml.nvmlInit()
        try:
            return min(
                (int(pynvml.nvmlDeviceGetMemoryInfo(gpu).total) for gpu in _gpus()), default=0
            )
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return 0


def _gpus() -> Iterator[Any]:
    """NVML's handles of the GPUs and instances that trials may use."""
    from ray._private.thirdparty import pynvml

    every = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    names = named_gpus()
    if names is None:
        names = [str(i) for i in range(len(every))]
    # By default CUDA counts from the fastest GPU on, NVML by the place on the bus.
    orders_alike = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    for name in names:
        if not name.isdecimal():
            yield pynvml.nvmlDeviceGetHandleByUUID(name.encode())
        elif orders_alike and int(name) < len(every):
            yield from _instances(every[int(name)])
        else:
            for gpu in every:
                yield from _instances(gpu)


def _instances(gpu: Any) -> list[Any]:
    """The instances into which a GPU is cut; the GPU itself if it is whole."""
    from ray._private.thirdparty import pynvml

    found = []
    try:
        if pynvml.nvmlDeviceGetMigMode(gpu)[0]:
            for i in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
                with suppress(pynvml.NVMLError):  # no instance has this number
                    found.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, i))
    except pynvml.NVMLError:  # a GPU that cannot be cut
        return [gpu]
    return found or [gpu]
