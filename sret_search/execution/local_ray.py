"""A private Ray on this machine: starting and watching it."""

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
from sret_search.errors import reason
from sret_search.execution import signals
from sret_search.machine.hardware import gpus
from sret_search.machine.processors import cpus

_CONTROL, _PARENT = "gcs_server", "raylet"
"""Processes of Ray that must live. The second one starts the workers."""
_PATIENCE = 5.0
"""Seconds that a run has to end by itself after the death of Ray."""
_LOOK = 0.5
"""Seconds between two checks."""
_START = 180.0
"""Seconds that Ray may take to start. A call into Ray that never returns holds the interpreter, as
when its workers end at once. Only a watchdog outside of the interpreter can then end this
process."""


class NotStartedError(Exception):
    """Ray did not start, or died while it started. The next run may succeed."""


class CannotStartError(NotStartedError):
    """Ray cannot start before the user has fixed an error."""


_PASSING = ConnectionError, TimeoutError, BlockingIOError, MemoryError
"""Errors of a busy machine, or of a process that was killed."""
_LASTING = ValueError, TypeError, LookupError, AttributeError, AssertionError, ImportError, OSError
"""Errors that remain: settings that Ray refuses, a package that cannot be loaded, a folder that
cannot be written. Ray's errors about its processes, which end or do not answer in time, are not
among them."""


def start(folder: Path) -> None:
    """Start Ray. It listens only on the loopback interface and asks for a secret token.

    Args:
        folder: an existing folder for Ray's files, in a folder that only this user can read.

    Raises:
        NotStartedError, CannotStartError: with the reason that Ray gives.
    """
    # The address 127.0.0.1 alone is not enough. Ray replaces it by the network address and then
    # listens on every interface, unless this setting says that the machine is not for clusters.
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
                _temp_dir=str(folder),  # Ray lets everybody write there; its parent is private
            )
    except Exception as error:  # Ray has no specific class
        raise not_started(error) from error


def not_started(error: Exception) -> NotStartedError:
    """The error for the user, from an error that kept Ray from starting."""
    lasts = isinstance(error, _LASTING) and not isinstance(error, _PASSING)
    kind = CannotStartError if lasts else NotStartedError
    return kind(f"Ray did not start: {reason(error)}")


@contextmanager
def _ended_if_it_hangs(stacks: Path) -> Iterator[None]:
    """End this process and write its stacks, if the block takes too long."""
    with stacks.open("w") as file:
        faulthandler.dump_traceback_later(_START, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def _importing_alike(folder: Path) -> Iterator[None]:
    """Let workers import the same modules as this process.

    Ray searches the working directory of a driver before all other places. A file `numpy.py` there
    would be imported instead of numpy.

    Args:
        folder: a new folder that Ray searches instead. It has a link to this package if the package
            is in the working directory, and nothing else.
    """
    from ray._private import worker

    package = Path(sret_search.__file__).parent
    folder.mkdir()
    if package.parent == Path.cwd():
        (folder / package.name).symlink_to(package)
    connect = worker.connect

    def connect_there(*arguments: Any, **named: Any) -> Any:
        # The processes that start the workers exist already, so workers still run in this
        # directory.
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
    """Watch in the block whether the Ray that was started here lives.

    A call into a dead Ray blocks its thread, and no signal ends it. After a minute Ray ends the
    whole process. So a separate thread watches.

    Args:
        died: called once with the reason. The workers of that Ray are killed afterwards.
        abandon: called if the block has still not ended some seconds later. It must end the
            process.
    """
    processes, left = _processes(), threading.Event()

    def watch() -> None:
        while (death := _death(processes)) is None:
            if left.wait(_LOOK):
                return
        if left.is_set():  # Ray may just have been shut down
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
    """Processes of Ray that must live, by name; none in a cluster that others started.

    Attributes:
        port: the port of the first of them.
    """

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
        # After SIGTERM it may take a minute to end, but no longer answers.
        try:
            socket.create_connection(("127.0.0.1", processes.port), timeout=_LOOK).close()
        except ConnectionRefusedError:
            return f"Ray on this machine died: its {_CONTROL} was stopped"
        except OSError:
            pass  # busy, as usual during training
    return None


def _kill_workers(processes: _Processes) -> None:
    """Kill the workers of a dead Ray, which could otherwise run on for a minute.

    They are in the session of the process that started them, whether it lives or not.
    """
    if _PARENT not in processes.by_name:
        return
    session = processes.by_name[_PARENT].pid
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(path.name)) == session:
                os.kill(int(path.name), signal.SIGKILL)
