"""A Ray of one's own on this machine, started and watched."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import secrets
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sret_search
from sret_search.artifacts.names import HANG
from sret_search.execution import signals
from sret_search.machine.gpus import gpus
from sret_search.machine.processors import cpus

_CONTROL, _PARENT = "gcs_server", "raylet"
"""The processes of Ray without which nothing goes on; the second one starts the workers."""
_PATIENCE = 5.0
"""Seconds after the death of Ray in which a run ends by itself, or not at all."""
_LOOK = 0.5
"""Seconds between two looks."""
_START = 180.0
"""Seconds that Ray may take to start. A call into it that does not return, as where its workers end at
once, holds the interpreter: nothing but a watchdog outside of it ends this process then."""


class NotStartedError(Exception):
    """Ray did not start, or was gone before it had; it may at the next run."""


class CannotStartError(NotStartedError):
    """Ray does not start here before the user has mended something."""


_PASSING = ConnectionError, TimeoutError, BlockingIOError, MemoryError
"""A machine that is busy, or a process that was killed."""
_LASTING = ValueError, TypeError, LookupError, AttributeError, AssertionError, ImportError, OSError
"""Settings that Ray refuses, a package that does not load, a folder that cannot be written. What
Ray says of its own processes, which end or do not answer in time, is none of these."""


def start(folder: Path) -> None:
    """Start Ray. It listens on the loopback interface only, and asks for a token that nobody else
    knows.

    Args:
        folder: for its own files, of which only this user can see any. Exists.

    Raises:
        NotStartedError, CannotStartError: for whatever reason Ray gives.
    """
    # The address 127.0.0.1 alone is not enough: Ray replaces it by that of the network, and
    # then listens on every interface, unless it is told that this is no machine for clusters.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ.pop("RAY_AUTH_MODE", None)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        import ray

        with (
            _ended_if_it_hangs(folder.with_name(HANG)),
            signals.sessions_of_their_own(),
            _importing_alike(folder.with_name("code")),
            signals.sigterm_stays(),
        ):
            ray.init(
                address="local",
                num_cpus=cpus(),
                num_gpus=gpus(),
                object_store_memory=100 * 2**20,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="CRITICAL",
                _node_ip_address="127.0.0.1",
                _temp_dir=str(folder),  # which Ray lets everybody write into; around it is ours
            )
    except Exception as error:  # Ray has no class of its own for this
        raise not_started(error) from error


def not_started(error: Exception) -> NotStartedError:
    """What is told of an error that kept Ray from starting."""
    lasts = isinstance(error, _LASTING) and not isinstance(error, _PASSING)
    kind = CannotStartError if lasts else NotStartedError
    reason = " ".join(str(error).split())
    return kind(f"Ray did not start: {reason or type(error).__name__}")


@contextmanager
def _ended_if_it_hangs(stacks: Path) -> Iterator[None]:
    """End this process where this lasts too long, and write its stacks."""
    with stacks.open("w") as file:
        faulthandler.dump_traceback_later(_START, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def _importing_alike(folder: Path) -> Iterator[None]:
    """Let workers import what this process imports. Ray puts the working directory of a driver
    before all else that its workers import: a `numpy.py` that lies there would be taken for numpy.

    Args:
        folder: to be made, and put there instead. Where this package itself lies in the working
            directory, it has a link to it, and nothing else.
    """
    from ray._private import worker

    package = Path(sret_search.__file__).parent
    folder.mkdir()
    if package.parent == Path.cwd():
        (folder / package.name).symlink_to(package)
    connect = worker.connect

    def connect_there(*arguments: Any, **named: Any) -> Any:
        # The processes that start the workers, which are to work here, are there before.
        with contextlib.chdir(folder):
            return connect(*arguments, **named)

    worker.connect = connect_there
    try:
        yield
    finally:
        worker.connect = connect


def end() -> None:
    """Shut down the Ray that was started here, or leave a cluster."""
    import ray

    processes = _processes()
    with signals.kept_at_shutdown():
        ray.shutdown()
    _kill_workers(processes)


@contextmanager
def watched(died: Callable[[str], None], abandon: Callable[[], None]) -> Iterator[None]:
    """While this lasts, see whether the Ray that was started here lives.

    A call into a Ray that is dead blocks the thread that makes it, and no signal ends that; after
    a minute Ray's own code ends the whole process. So this looks from a thread of its own.

    Args:
        died: told once what happened. The workers of that Ray are killed after it.
        abandon: called where this has still not ended some seconds later. It is to end the
            process.
    """
    processes, left = _processes(), threading.Event()

    def watch() -> None:
        while (death := _death(processes)) is None:
            if left.wait(_LOOK):
                return
        if left.is_set():  # it may just have been shut down
            return
        died(death)
        _kill_workers(processes)
        if not left.wait(_PATIENCE):
            abandon()

    threading.Thread(target=watch, name="watches Ray", daemon=True).start()
    try:
        yield
    finally:
        left.set()


@dataclass(frozen=True)
class _Processes:
    """Those of Ray that must live: by name, and the port at which the first of them is asked. None
    in a cluster that others started."""

    by_name: dict[str, subprocess.Popen[bytes]]
    port: int


def _processes() -> _Processes:
    from ray._private import worker

    node = worker._global_node
    if node is None:
        return _Processes({}, 0)
    started = node.all_processes
    by_name = {name: started[name][0].process for name in (_CONTROL, _PARENT) if name in started}
    return _Processes(by_name, int(node.gcs_address.rsplit(":", 1)[1]))


def _death(processes: _Processes) -> str | None:
    for name, process in processes.by_name.items():
        code = process.poll()
        if code is not None:
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
            return f"Ray on this machine died: its {name} ended {how}"
    if _CONTROL in processes.by_name:
        # After SIGTERM it may take a minute to end, but hears nothing any more.
        try:
            socket.create_connection(("127.0.0.1", processes.port), timeout=_LOOK).close()
        except ConnectionRefusedError:
            return f"Ray on this machine died: its {_CONTROL} was stopped"
        except OSError:
            pass  # busy, as machines that train are
    return None


def _kill_workers(processes: _Processes) -> None:
    """Those whose Ray is gone may go on for a minute. They are in the session of the process that
    started them, whether it lives or not."""
    if _PARENT not in processes.by_name:
        return
    session = processes.by_name[_PARENT].pid
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(path.name)) == session:
                os.kill(int(path.name), signal.SIGKILL)
