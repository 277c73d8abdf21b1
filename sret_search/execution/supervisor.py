"""The supervisor: a process that starts the driver of a study, waits for it and handles its end.

Ray may end its process at once with its own exit code, and the system may kill it. So the command
runs again as a child. The parent remains to draw the report and to say how to continue.
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
"""Environment variable with the child's ends of two pipes. The first is closed when the parent
ends. The child writes its exit code into the second."""
_ENDED_BY_ITSELF = 3
"""The exit code of a driver that had to end at once, after it had printed the reason."""

_is_child = False


def driven(work: Callable[[], int], ended: Callable[[], int]) -> int:
    """Run the work of this command in a child of this process, and return its exit code.

    Args:
        work: run by the child. It returns an exit code.
        ended: run by this process if the child was ended by others. It returns an exit code.
    """
    channels = os.environ.pop(_CHANNELS, None)
    if channels is None:
        try:
            return _wait(ended)
        finally:
            # Python resets signal handlers before its process has ended.
            for kind in signals.STOPS:
                signal.signal(kind, signal.SIG_IGN)
    global _is_child
    _is_child = True
    signals.ignored()
    alive, code_write = map(int, channels.split(","))
    threading.Thread(target=_die_with_parent, args=[alive], daemon=True).start()
    code = 1
    try:
        code = work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        raise
    finally:
        with suppress(OSError):
            os.write(code_write, str(code).encode())
    return code


def pid() -> int:
    """Id of the process that the user started. Its end also ends the driver."""
    return os.getppid() if _is_child else os.getpid()


def leave() -> None:
    """End this process at once, because Ray blocks its main thread for ever."""
    os._exit(_ENDED_BY_ITSELF)


def _die_with_parent(alive: int) -> None:
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _wait(ended: Callable[[], int]) -> int:
    (alive, parent), (code_read, code_write) = os.pipe(), os.pipe()
    # Blocked signals wait in the child until it has handlers.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals.STOPS)
    child = subprocess.Popen(
        sys.orig_argv,
        env=os.environ | {_CHANNELS: f"{alive},{code_write}"},
        pass_fds=(alive, code_write),
        process_group=0,  # a signal to a whole group must reach the child once
    )
    os.close(alive)
    os.close(code_write)
    signals.ignored()
    with signals.forwarded(child):
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        code = child.wait()
    code_text = os.read(code_read, 16)
    os.close(code_read)
    os.close(parent)
    if code_text:
        result = int(code_text)
    elif (error := _kept_from_starting(child.pid)) is not None:
        print(f"Ray did not start, because its workers did not: {error}", file=sys.stderr)
        result = INPUT
    else:
        if code != _ENDED_BY_ITSELF:
            print(f"stopping: {_how(code)}", flush=True)
        result = ended()
    # Python resets signals before its process ends. A signal would then replace the exit code.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals.STOPS)
    return result


def _kept_from_starting(pid: int) -> str | None:
    """The error of Ray's workers, if the driver was ended because Ray did not start; else None."""
    from sret_search.execution import ray_cluster

    return ray_cluster.hung(pid)


def _how(code: int) -> str:
    if code < 0:
        return f"the process of the study was ended by {signal.Signals(-code).name}"
    return f"Ray ended the process of the study with code {code}"
