"""Signals that ask to stop, at any moment, and what Ray makes of them, set right while it starts."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to stop: by Ctrl-C, by a scheduler, by a terminal that is closed."""

_Handler = Callable[[int, FrameType | None], Any]

_came = False
"""Whether a signal came, or there is nothing left that SIGTERM could stop. What it raised may have
got no further than a library."""


def note() -> None:
    """Take no more SIGTERM: one came, or the last work is being done. Those who send it again and
    again, as batch systems do, want an end in order. Ctrl-C still interrupts."""
    global _came
    _came = True


def ignored() -> None:
    """Let signals that come outside of `interrupting` and `forwarded` do nothing: this process is
    about to end, with an exit code that is known."""
    # Not SIG_IGN, which processes that are started from here would inherit.
    handle(lambda number, frame: None)


def handle(handler: _Handler) -> dict[signal.Signals, Any]:
    """Set the handler of all signals that ask to stop, but for a SIGHUP that is ignored, as it is
    under `nohup`; gives the handlers before."""
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set()
    return {kind: signal.signal(kind, handler) for kind in STOPS if kind not in ignored}


@contextmanager
def interrupting() -> Iterator[None]:
    """SIGTERM and SIGHUP as Ctrl-C at any moment, also where Ray's handler, which exits, is in place. All
    raise KeyboardInterrupt, which some libraries swallow while they are imported: it is raised
    again at the next `raise_swallowed`. Only the first SIGTERM does that: those after it would cut
    short what the first one asked for."""
    global _came

    def interrupt(number: int, frame: FrameType | None) -> None:
        came = _came
        note()
        if number == signal.SIGINT or not came:
            raise KeyboardInterrupt

    before = handle(interrupt)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        yield
    except SystemExit as ended:
        if ended.code != signal.SIGTERM:
            raise
        raise KeyboardInterrupt from None
    finally:
        _came = False
        for kind, handler in before.items():
            signal.signal(kind, handler)


def raise_swallowed() -> None:
    """Stop where a signal came that was to stop this process, and that a library swallowed.

    Raises:
        KeyboardInterrupt: there was one.
    """
    if _came:
        raise KeyboardInterrupt


@contextmanager
def forwarded(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """What asks this process to stop asks a child instead, which has a group of its own."""

    def forward(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    before = handle(forward)
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextmanager
def sessions_of_their_own() -> Iterator[None]:
    """Keep signals to the group of this process (Ctrl-C, `timeout`, `kill -- -PGID`) from those
    that Ray starts here: workers can then save a checkpoint while this process waits for them.

    Ray has no setting for this. It calls this function of its own in each process it starts where
    the system ends them with their parent; elsewhere they must stay in the group, by which Ray
    ends them.
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
    """Keep SIGTERM as it is where this process connects to Ray, whose own code takes it for a
    crash from then on: it would print a trace and abort three seconds later.

    While it connects, SIGTERM waits. The processes of Ray, which would inherit that, are there
    before.
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
        # Ray puts a handler of its own in its place, which exits.
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def kept_at_shutdown() -> Iterator[None]:
    """Keep the handlers where Ray is shut down, which gives SIGTERM back to the system without
    telling Python: from then on it would end this process while the report is drawn."""
    from ray._private import worker

    manager = getattr(worker, "FunctionActorManager", None)

    def again() -> None:
        for kind in STOPS:
            signal.signal(kind, signal.getsignal(kind))

    def made(*arguments: Any) -> Any:
        # The first that Ray does after it, long before it has ended its processes.
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
