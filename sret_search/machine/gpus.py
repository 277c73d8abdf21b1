"""Number of GPUs of this machine, and number of trials that it runs at a time."""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path

from sret_search.config.study_file import Compute
from sret_search.machine.processors import cpus

_GPU = re.compile(r"\d+|(GPU|MIG)-\S+")
"""Name of a GPU in CUDA_VISIBLE_DEVICES."""


def gpus() -> int:
    """Number of NVIDIA GPUs that this process may use. It does not load torch.

    If CUDA_VISIBLE_DEVICES is set, the GPUs that it names count. CUDA stops at the first name that
    is no GPU, such as -1, or NoDevFiles, which Slurm sets without GPUs.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = (name.strip() for name in visible.split(","))
        return len(list(takewhile(_GPU.fullmatch, names)))
    driver = Path("/proc/driver/nvidia/gpus")
    return len(list(driver.iterdir())) if driver.is_dir() else 0


def gpus_of_trial(compute: Compute) -> float:
    """Number of GPUs that a trial takes; with "auto", 1 if this machine has any."""
    return bool(gpus()) if compute.gpus_per_trial == "auto" else compute.gpus_per_trial


def at_a_time(compute: Compute) -> int:
    """Number of trials that run at a time on this machine; at least 1."""
    if compute.concurrent != "auto":
        return compute.concurrent
    each = gpus_of_trial(compute)
    number = cpus() // compute.cpus
    return max(min(number, int(gpus() / each)) if each else number, 1)
