"""Name of the hardware on which trials run. Measured speeds are kept under this name."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from sret_search.config.study_file import Compute
from sret_search.machine.gpus import at_a_time, gpus_of_trial

_CPU, _GPUS = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/gpus")
_SETS = (("avx512f", "AVX-512"), ("avx2", "AVX2"))


def uses_gpu(compute: Compute) -> bool:
    """Whether trials are trained on GPUs; with "auto", whether this machine has any."""
    return gpus_of_trial(compute) > 0


def hardware(compute: Compute) -> str:
    """Name for everything but the candidate on which the time of a step depends: the GPU, or the
    CPU with its instructions and the threads of a process; and the number of trials at a time."""
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
