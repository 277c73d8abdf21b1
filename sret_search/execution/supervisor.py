"""The process that drives a study, and the one that waits for it and answers for its end.

Ray's own code may end the process that uses it at once, with an exit code of its own, and the
system may kill it. So the command is run again as a child: whatever becomes of that one, somebody
is left to draw the report and to say how to go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from sret_search.errors import INPUT
from sret_search.execution import signals

_CHANNELS = "SRET_SEARCH_CHANNELS"
"""Names to the child, and to nobody else, its ends of two pipes: one is closed when its parent is
gone, into the other it writes its exit code."""
_ENDED_BY_ITSELF = 3
"""The exit code of a driver that could only end at once, and had said why."""

_is_child = False


def driven(work: Callable[[], int], ended: Callable[[], int]) -> int:
    """Do the work of this command in a child of this process, and end as it does.

    Args:
        work: the work, done by the child; its exit code.
        ended: what this process does where the child was ended by others; its exit code.
    """
    channels = os.environ.pop(_CHANNELS, None)
    if channels is None:
        try:
            return _wait(ended)
        finally:
            # Python gives handled signals back their defaults while it ends, before it has ended.
            for kind in signals.STOPS:
                signal.signal(kind, signal.SIG_IGN)
    global _is_child
    _is_child = True
    signals.ignored()
    alive, told = map(int, channels.split(","))
    threading.Thread(target=_die_with_parent, args=[alive], daemon=True).start()
    code = 1
    try:
        code = work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        raise
    finally:
        with suppress(OSError):
            os.write(told, str(code).encode())
    return code


def pid() -> int:
    """The process that the user started: who ends it ends the driver."""
    return os.getppid() if _is_child else os.getpid()


def leave() -> None:
    """End this process at once, where Ray holds its main thread and will never let go."""
    os._exit(_ENDED_BY_ITSELF)


def _die_with_parent(alive: int) -> None:
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _wait(ended: Callable[[], int]) -> int:
    (alive, parent), (heard, told) = os.pipe(), os.pipe()
    # They wait in the child until it can take them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals.STOPS)
    child = subprocess.Popen(
        sys.orig_argv,
        env=os.environ | {_CHANNELS: f"{alive},{told}"},
        pass_fds=(alive, told),
        process_group=0,  # so that what reaches a whole group reaches the child once
    )
    os.close(alive)
    os.close(told)
    signals.ignored()
    with signals.forwarded(child):
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        code = child.wait()
    said = os.read(heard, 16)
    os.close(heard)
    os.close(parent)
    if said:
        result = int(said)
    elif (error := _kept_from_starting(child.pid)) is not None:
        print(f"Ray did not start, because its workers did not: {error}", file=sys.stderr)
        result = INPUT
    else:
        if code != _ENDED_BY_ITSELF:
            print(f"stopping: {_how(code)}", flush=True)
        result = ended()
    # Python gives signals back to the system before it ends: the exit code would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals.STOPS)
    return result


def _kept_from_starting(pid: int) -> str | None:
    """The error of Ray's workers, where the driver was ended since Ray did not start."""
    from sret_search.execution import ray_cluster

    return ray_cluster.hung(pid)


def _how(code: int) -> str:
    if code < 0:
        return f"the process of the study was ended by {signal.Signals(-code).name}"
    return f"Ray ended the process of the study with code {code}"
