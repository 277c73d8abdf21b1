"""Signals that reach processes of Ray, and what Ray makes of them, set right while it starts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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
    try:
        yield
    finally:
        worker.connect = connect
