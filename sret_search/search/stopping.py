"""Ctrl-C and SIGTERM: stop a study where nothing is half done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune import Callback


class StopBetweenSteps(Callback):
    """Ends Tune's loop by a KeyboardInterrupt, between two of its steps, once asked to."""

    def __init__(self) -> None:
        self.asked = False

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def stop_between_steps(say: Callable[[str], None]) -> Iterator[StopBetweenSteps]:
    """Turn the first signal into a stop at the next step; a second Ctrl-C stops at once.

    Tune's own handler would first wait for the workers to end their epochs. Ray replaces the
    handlers when it connects, so this comes after.
    """
    callback = StopBetweenSteps()

    def stop(number: int, frame: FrameType | None) -> None:
        callback.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        say("stopping; trials keep their last checkpoint")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield callback
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
