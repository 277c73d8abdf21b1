"""Stopping without a loss: after Ctrl-C, SIGTERM, SIGHUP, or the hours of a study."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import FrameType
from typing import Any

from ray.tune import Callback

from sret_search.execution import signals

GRACE = 60.0
"""Seconds that running trials have to end their step and write a checkpoint."""


class Stopping(Callback):
    """The state of a stop: whether a run is to end, and until when it waits.

    First each worker is asked to write a checkpoint. A worker that has not done so when the time is
    over keeps its last checkpoint.

    Args:
        ask: asks the workers to stop.
        say: prints a message to the user.
        hours: after which the run stops by itself.
    """

    def __init__(
        self, ask: Callable[[], None], say: Callable[[str], None], hours: float | None
    ) -> None:
        self.requested = False
        self._ask, self._say = ask, say
        self._ends = None if hours is None else time.monotonic() + 3600 * hours
        self._hours, self._deadline = hours, float("inf")
        self._why = "stopping: running trials save a checkpoint (Ctrl-C stops at once)"

    def look(self) -> bool:
        """Whether the run is to end. The first such call asks the workers and prints a message."""
        if self._ends is not None and time.monotonic() > self._ends and not self.requested:
            self.requested = True
            self._why = (
                f"stopping after max_hours {self._hours:g}: running trials save a checkpoint"
            )
        if self.requested and self._deadline == float("inf"):
            self._deadline = time.monotonic() + GRACE
            self._say(self._why)
            with suppress(OSError):  # on a full disk they keep the checkpoint that they have
                self._ask()
        return self.requested

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """End Tune's loop by a KeyboardInterrupt, between two of its steps."""
        if self.look() and time.monotonic() > self._deadline:
            raise KeyboardInterrupt

    def __getstate__(self) -> dict[str, Any]:
        """Leave out all state. Ray pickles its callbacks for a restore that never happens."""
        return {}

    def now(self) -> None:
        """End at the next step, without waiting for the workers."""
        self.requested, self._deadline = True, 0.0

    def on_signals(self) -> AbstractContextManager[None]:
        """Stop in order at the first Ctrl-C, SIGTERM or SIGHUP, and at once at a second Ctrl-C.

        Tune's handler would first wait for the workers to end their epochs. Ray replaces the
        handlers when it connects, so these are set afterwards.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            # A signal may arrive while another message is printed. So `look` prints this one.
            if self.requested and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.requested = True
            signals.note()

        return signals.handled(stop)
