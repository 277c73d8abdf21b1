"""Signals that ask to stop, at any moment, and corrections of Ray's handling of them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to stop: from Ctrl-C, a batch system, or a terminal that closes."""

_Handler = Callable[[int, FrameType | None], Any]

_came = False
"""Whether a signal arrived, or no work is left that SIGTERM could stop. A library may have
swallowed the exception of the signal."""


def note() -> None:
    """Ignore further SIGTERM: one has arrived, or the last work is running.

    Senders that repeat it, as batch systems do, want an end in order. Ctrl-C still interrupts.
    """
    global _came
    _came = True


def ignored() -> None:
    """Ignore signals outside of `interrupting` and `forwarded`: this process is about to end with a
    known exit code."""
    # SIG_IGN would be inherited by child processes.
    _handle(lambda number, frame: None)


def _handle(handler: _Handler) -> dict[signal.Signals, Any]:
    """Set the handler of all signals that ask to stop, and return the handlers before.

    A SIGHUP that is ignored, as under `nohup`, stays ignored.
    """
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set()
    return {kind: signal.signal(kind, handler) for kind in STOPS if kind not in ignored}


@contextmanager
def handled(handler: _Handler) -> Iterator[None]:
    """Set the handler of all signals that ask to stop, and put back the handlers before."""
    before = _handle(handler)
    try:
        yield
    finally:
        for kind, earlier in before.items():
            signal.signal(kind, earlier)


@contextmanager
def interrupting() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C, also while Ray's handler is set, which exits.

    All raise KeyboardInterrupt. Some libraries swallow it while they are imported, so the next
    `raise_swallowed` raises it again. Only the first SIGTERM raises it: later ones would cut short
    the stop that the first one began.
    """
    global _came

    def interrupt(number: int, frame: FrameType | None) -> None:
        came = _came
        note()
        if number == signal.SIGINT or not came:
            raise KeyboardInterrupt

    with handled(interrupt):
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            yield
        except SystemExit as ended:
            if ended.code != signal.SIGTERM:
                raise
            raise KeyboardInterrupt from None
        finally:
            _came = False


def raise_swallowed() -> None:
    """Stop if a signal arrived whose exception a library swallowed.

    Raises:
        KeyboardInterrupt: there was such a signal.
    """
    if _came:
        raise KeyboardInterrupt


def forwarded(child: subprocess.Popen[bytes]) -> AbstractContextManager[None]:
    """Send signals that ask this process to stop to a child, which has its own process group."""
    return handled(lambda number, frame: child.send_signal(number))


@contextmanager
def sessions_of_their_own() -> Iterator[None]:
    """Protect the processes that Ray starts here from signals to the group of this process.

    Such signals are Ctrl-C, `timeout` and `kill -- -PGID`. Without them workers can save a
    checkpoint while this process waits. Ray has no setting for this. It calls the function patched
    here in each process that it starts, where the system ends such a process with its parent.
    Elsewhere the processes must stay in the group, through which Ray ends them.
    """
    from ray._private import utils

    bind = getattr(utils, "set_kill_on_parent_death_linux", None)
    if bind is None:
        yield
        return

    def bind_apart() -> None:
        os.setsid()
        bind()

    utils.set_kill_on_parent_death_linux = bind_apart
    try:
        yield
    finally:
        utils.set_kill_on_parent_death_linux = bind


@contextmanager
def sigterm_stays() -> Iterator[None]:
    """Keep the handling of SIGTERM while this process connects to Ray.

    Ray's code would treat SIGTERM as a crash: it would print a trace and abort three seconds later.
    SIGTERM is blocked while the process connects. Ray's processes exist before and do not inherit
    the block.
    """
    from ray._private import worker

    connect = getattr(worker, "connect", None)
    if connect is None:
        yield
        return

    def connect_held(*arguments: Any, **named: Any) -> Any:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            return connect(*arguments, **named)
        finally:
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    worker.connect = connect_held
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        worker.connect = connect
        # Ray sets its own handler, which exits.
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def kept_at_shutdown() -> Iterator[None]:
    """Keep the handlers while Ray is shut down.

    Ray resets SIGTERM in the system without Python's knowledge. Then SIGTERM would end this process
    while the report is drawn.
    """
    from ray._private import worker

    manager = getattr(worker, "FunctionActorManager", None)

    def again() -> None:
        for kind in STOPS:
            signal.signal(kind, signal.getsignal(kind))

    def made(*arguments: Any) -> Any:
        # This is Ray's first call after the reset, long before its processes have ended.
        again()
        return manager(*arguments)  # type: ignore[misc]

    if manager is not None:
        worker.FunctionActorManager = made
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        if manager is not None:
            worker.FunctionActorManager = manager
        again()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
