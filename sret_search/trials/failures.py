"""Rules for attempts that ended without an outcome, by cause."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sret_search.errors import encodable

DIED, HUNG, MACHINE, MEMORY, DISK, DATA, ERROR = (
    "worker died", "worker hung", "machine", "out of memory", "disk full", "data", "error",
)  # fmt: skip
"""Causes of a failure. The infrastructure: a killed process or node; no step for too long; an error
of hardware, network or file system. Then memory, disk, unreadable data, and an error in code. A
loss that is not finite is a result instead."""

OF_NODES = frozenset({DIED, HUNG, MACHINE})
"""Causes that may not occur on another node."""

_NOT_STARTED = r"error raised in its creation task|failed to import on the worker"
"""Ray's messages for workers that cannot load the code of trials."""
_DEAD = r"[Tt]he actor (died|is dead|is unavailable)|Actor\w*Error|NodeDied|WorkerCrashed"
"""Ray's messages for workers that are gone, for any reason."""

_LIMITS = {DIED: 8, HUNG: 3, MACHINE: 4, MEMORY: 2}
"""Number of failures without a new checkpoint between them after which a trial fails, by cause. So
an attempt that ran out of memory is repeated once, in a fresh process. A full disk is waited
for."""

_LONGEST = 60.0
"""Longest wait between two attempts, in seconds."""


def cause_and_reason(text: str) -> tuple[str, str]:
    """The cause of a worker's end and a line for the reader, from Ray's message."""
    if "OutOfMemoryError" in text or "low on memory" in text:
        return MEMORY, "its worker was killed by Ray, since the machine ran low on memory"
    text = encodable(text)
    if (error := raised(text)) is not None and re.search(_NOT_STARTED, text):
        return DIED, f"its worker could not start ({error})"
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or re.search(_DEAD, text):
        return DIED, "its worker died (killed, or out of memory)"
    return DIED, f"its worker failed ({lines[-1].strip()})"


def raised(text: str) -> str | None:
    """The first error in a text of tracebacks that was not raised by Ray itself, with its place."""
    place, errors = None, []
    for line in text.splitlines():
        frame = re.match(r'\s+File "(.+)", line (\d+)', line)
        if frame is not None:
            place = f"{frame[1]}:{frame[2]}"
        elif place is not None and re.match(r"[A-Za-z_][\w.]*(: |$)", line):
            errors.append((line.strip(), place))
            place = None
    of_others = [each for each in errors if not re.search(r"/ray/|\.pyx:", each[1])]
    return next((f"{error} ({place})" for error, place in of_others + errors), None)


@dataclass(slots=True)
class Streak:
    """Consecutive failures of a trial under one driver, without a checkpoint between them."""

    number: int = 0

    def wait(self, cause: str, progress: bool) -> float | None:
        """Count a failure.

        Args:
            progress: whether the attempt left a checkpoint. So a machine that is stopped every hour
                never makes a trial fail.

        Returns:
            Seconds until the next attempt; None if there is none.
        """
        if cause == DISK:
            return 0.0
        self.number = 1 if progress and cause != MEMORY else self.number + 1
        if self.number >= _LIMITS.get(cause, 1):
            return None
        return 0.0 if self.number == 1 else min(2.0 ** (self.number - 1), _LONGEST)
