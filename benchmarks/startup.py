"""What the commands cost that train nothing, from the start of Python to their end.

    python benchmarks/startup.py        # some 20 seconds

Writes benchmarks/results/startup_<hardware>_<date>.json and prints the same figures last. Seconds
are the CPU's (user and system), which other work on the machine hardly changes, and wall time
beside them, each the least of some runs taken in turn; the first run, whose files the system must
read, does not count.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from trial_overhead import hardware

RUNS = 5
STUDY = Path(__file__).parents[1] / "studies" / "smoke.yaml"
COMMANDS = {
    "python": ["-c", "pass"],
    "import": ["-c", "import sret_search"],
    "help": ["-m", "sret_search", "--help"],
    "cost sret_t": ["-m", "sret_search", "cost", "sret_t"],
    "plan smoke": ["-m", "sret_search", "plan", str(STUDY)],
    "plan smoke --plot": ["-m", "sret_search", "plan", str(STUDY), "--plot"],
}


def timed(arguments: list[str]) -> tuple[float, float]:
    """Seconds of CPU and of wall time of a command."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return used.ru_utime + used.ru_stime, wall


def main() -> None:
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS + 1):
        for name, arguments in COMMANDS.items():
            seconds[name].append(timed(arguments))
    figures: dict[str, object] = {
        name: dict(
            zip(("cpu_seconds", "seconds"), map(min, zip(*taken[1:], strict=True)), strict=True)
        )
        for name, taken in seconds.items()
    }
    figures |= {"runs": RUNS, "load": os.getloadavg()[0], "python_version": sys.version.split()[0]}
    name = f"startup_{hardware()}_{datetime.date.today():%Y%m%d}.json"
    text = json.dumps(figures, indent=1)
    (Path(__file__).parent / "results" / name).write_text(f"{text}\n")
    print(text)


if __name__ == "__main__":
    main()
