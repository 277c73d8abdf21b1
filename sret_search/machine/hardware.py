"""GPUs of this machine, number of trials that it runs at a time, and name of its hardware."""

from __future__ import annotations

import os
import platform
import re
from itertools import takewhile
from pathlib import Path

from sret_search.config.study_file import Compute
from sret_search.machine.processors import cpus

_CPU, _GPUS = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/gpus")
_SETS = (("avx512f", "AVX-512"), ("avx2", "AVX2"))
_GPU = re.compile(r"\d+|(GPU|MIG)-\S+")
"""Name of a GPU in CUDA_VISIBLE_DEVICES."""


def gpus() -> int:
    """Number of NVIDIA GPUs that this process may use. It does not load torch.

    If CUDA_VISIBLE_DEVICES is set, the GPUs that it names count. CUDA stops at the first name that
    is no GPU, such as -1, or NoDevFiles, which Slurm sets without GPUs.
    """
    names = named_gpus()
    if names is not None:
        return len(names)
    return len(list(_GPUS.iterdir())) if _GPUS.is_dir() else 0


def named_gpus() -> list[str] | None:
    """Names of the GPUs in CUDA_VISIBLE_DEVICES; None if it is not set."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return None
    return list(takewhile(_GPU.fullmatch, (name.strip() for name in visible.split(","))))


def trials_on(gpus: float, each: float) -> int:
    """Number of trials at a time on GPUs, each with `each` of them: parts of one, or several.

    A trial may have several whole GPUs, but not parts of two.
    """
    return int(gpus // each) if each >= 1 else int(gpus) * int(1 / each + 1e-9)


def gpus_of_trial(compute: Compute) -> float:
    """Number of GPUs that a trial takes; with "auto", 1 if this machine has any."""
    return bool(gpus()) if compute.gpus_per_trial == "auto" else compute.gpus_per_trial


def at_a_time(compute: Compute) -> int:
    """Number of trials that run at a time on this machine, or on a cluster whose number of trials
    the study gives; at least 1."""
    if compute.concurrent != "auto" and compute.address != "local":
        return compute.concurrent
    each = gpus_of_trial(compute)
    number = cpus() // compute.cpus
    if each:
        number = min(number, trials_on(gpus(), each))
    if compute.concurrent != "auto":
        number = min(number, compute.concurrent)
    return max(number, 1)


def uses_gpu(compute: Compute) -> bool:
    """Whether trials are trained on GPUs; with "auto", whether this machine has any."""
    return gpus_of_trial(compute) > 0


def hardware(compute: Compute) -> str:
    """Name for everything but the candidate on which the time of a step depends: the GPU, or the
    CPU with its instructions and the threads of a process; and the number of trials at a time.

    Measured speeds are kept under this name.
    """
    trials = at_a_time(compute)
    share = f"{trials} trials at a time" if trials > 1 else "1 trial at a time"
    if compute.processes > 1:
        share += f" of {compute.processes} processes each"
    if uses_gpu(compute):
        return f"{_gpu()}, {share}"
    threads = compute.cpus // compute.processes
    return f"{cpu()}, {threads} thread{'s' if threads > 1 else ''}, {share}"


def cpu() -> str:
    """Name of the processor, with its best instruction set for training."""
    try:
        text = _CPU.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = set(re.findall(r"\w+", text[text.find("flags") :].partition("\n")[0]))
    instructions = next((name for flag, name in _SETS if flag in flags), platform.machine())
    return f"{model[1].strip() if model else platform.machine()} ({instructions})"


def _gpu() -> str:
    for path in sorted(_GPUS.glob("*/information")):
        model = re.search(
            r"^Model:\s*(.*)$", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
        )
        if model:
            return model[1].strip()
    return "GPU"
