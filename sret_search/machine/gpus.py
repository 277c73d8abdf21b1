"""The GPUs of this machine, and how many trials it runs at a time."""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path

from sret_search.config.study_file import Compute
from sret_search.machine.processors import cpus

_GPU = re.compile(r"\d+|(GPU|MIG)-\S+")
"""A GPU's name in CUDA_VISIBLE_DEVICES."""


def gpus() -> int:
    """NVIDIA GPUs that this process may use, found without loading torch. Where
    CUDA_VISIBLE_DEVICES is set they are those that it names; CUDA reads it up to the first name
    that is none of a GPU, such as -1, or the NoDevFiles that Slurm sets where there are none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = (name.strip() for name in visible.split(","))
        return len(list(takewhile(_GPU.fullmatch, names)))
    driver = Path("/proc/driver/nvidia/gpus")
    return len(list(driver.iterdir())) if driver.is_dir() else 0


def gpus_of_trial(compute: Compute) -> float:
    """GPUs that a trial takes, as far as this machine tells."""
    return bool(gpus()) if compute.gpus_per_trial == "auto" else compute.gpus_per_trial


def at_a_time(compute: Compute) -> int:
    """Trials that run at a time on this machine; at least one."""
    if compute.concurrent != "auto":
        return compute.concurrent
    each = gpus_of_trial(compute)
    number = cpus() // compute.cpus
    return max(min(number, int(gpus() / each)) if each else number, 1)
