"""A stop that loses nothing: by Ctrl-C, SIGTERM, SIGHUP, or when the hours of a study are over."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from ray.tune import Callback

from sret_search.execution import signals

GRACE = 60.0
"""Seconds that running trials have for the step that they are in, and for a checkpoint."""


class Stopping(Callback):
    """Whether a run is to end, and since when.

    First the workers are asked, who write a checkpoint each; those that have not done so when
    the time is over keep their last one.

    Args:
        ask: tells the workers.
        say: tells the user.
        hours: after which the run stops by itself.
    """

    def __init__(
        self, ask: Callable[[], None], say: Callable[[str], None], hours: float | None
    ) -> None:
        self.asked = False
        self._ask, self._say = ask, say
        self._ends = None if hours is None else time.monotonic() + 3600 * hours
        self._hours, self._deadline = hours, float("inf")
        self._why = "stopping: running trials save a checkpoint (Ctrl-C stops at once)"

    def look(self) -> bool:
        """Whether the run is to end; asks the workers, and tells the user, once. Called all the
        time."""
        if self._ends is not None and time.monotonic() > self._ends and not self.asked:
            self.asked = True
            self._why = (
                f"stopping after max_hours {self._hours:g}: running trials save a checkpoint"
            )
        if self.asked and self._deadline == float("inf"):
            self._deadline = time.monotonic() + GRACE
            self._say(self._why)
            with suppress(OSError):  # on a full disk they keep the checkpoint that they have
                self._ask()
        return self.asked

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Ends Tune's loop by a KeyboardInterrupt, between two of its steps."""
        if self.look() and time.monotonic() > self._deadline:
            raise KeyboardInterrupt

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its callbacks for a restore that is never asked for."""
        return {}

    def now(self) -> None:
        """End at the next step, without waiting for the workers."""
        self.asked, self._deadline = True, 0.0

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take the first Ctrl-C, SIGTERM or SIGHUP as the wish to stop; a second Ctrl-C stops at once.

        Tune's own handler would first wait for the workers to end their epochs. Ray replaces the
        handlers when it connects, so this comes after.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            # A signal may come while the user is being told of something else: `look` tells.
            if self.asked and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.asked = True
            signals.note()

        before = signals.handle(stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
