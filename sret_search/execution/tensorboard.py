"""TensorBoard events of a trial, written while it trains."""

from __future__ import annotations

import time
from pathlib import Path

from sret_search.artifacts.names import TENSORBOARD
from sret_search.training.results import EpochMetrics

_PLACE = {"epoch", "step"}
"""Metrics that give the position in a training, not its quality."""


class Events:
    """Metrics of an attempt's epochs, as scalars in an event file under `tensorboard/`.

    Each epoch is on disk when `epoch` returns, since the worker may be killed. tensorboardX's
    `SummaryWriter` would keep it in a separate thread.
    """

    def __init__(self, attempt: Path) -> None:
        """Begin an event file in the folder of an attempt.

        Raises:
            OSError: the file cannot be written.
        """
        from tensorboardX.event_file_writer import EventsWriter  # type: ignore[import-untyped]

        folder = attempt / TENSORBOARD
        folder.mkdir(parents=True, exist_ok=True)
        self._file = EventsWriter(str(folder / "events"))

    def epoch(self, metrics: EpochMetrics) -> None:
        """Write all metrics of an epoch at its `step`, each under its own name.

        Raises:
            OSError: the file cannot be written.
        """
        from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]
        from tensorboardX.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in metrics.to_dict().items()
            if name not in _PLACE
        ]
        summary = Summary(value=values)
        self._file.write_event(Event(wall_time=time.time(), step=metrics.step, summary=summary))
        self._file.flush()

    def close(self) -> None:
        """Close the file. Nothing can be written afterwards."""
        self._file.close()
