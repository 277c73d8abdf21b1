"""Progress of a study for the terminal: counts of trials, best accuracy, time left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sret_search.job import timetable
from sret_search.trials.about import ConfirmationTrial, RateTrial, TwinTrial
from sret_search.trials.trial import TrialRecord
from sret_search.units import duration_text

_QUIET = 20.0
"""Seconds between two lines if the output is not a terminal."""


@dataclass(slots=True)
class Running:
    """A trial in training.

    Attributes:
        epochs: number of epochs of the whole training.
        macs: multiply-adds of an epoch.
        epoch: last epoch that has ended.
        seconds: of all attempts until then.
        accuracy: on validation, as a fraction.
    """

    label: str
    epochs: int
    macs: float
    epoch: int = 0
    seconds: float = 0.0
    accuracy: float | None = None


@dataclass(slots=True)
class Progress:
    """Counts of a study.

    Attributes:
        total: number of trials.
        to_do: multiply-adds of this run, trained or still to train.
        trained: multiply-adds that this run has trained.
        busy: seconds of training, summed over slots.
    """

    total: int
    slots: int
    to_do: float
    console: Console = field(default_factory=lambda: Console(highlight=False))
    done: int = 0
    diverged: int = 0
    failed: int = 0
    stopped: int = 0
    best: float | None = None
    running: dict[int, Running] = field(default_factory=dict)
    interrupted: dict[int, Running] = field(default_factory=dict)
    trained: float = 0.0
    busy: float = 0.0
    live: Live | None = None
    last_line: float = 0.0

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live = Live(console=self.console, get_renderable=self.table, refresh_per_second=2)
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def start(self, entry: TrialRecord) -> None:
        label = ", ".join(_label(entry))
        job = entry.job
        times = timetable(job.architecture, job.recipe, entry.images)
        epochs = -(-times.total // times.epoch)
        new = Running(label, epochs, entry.train_macs / epochs)
        self.running[entry.number] = self.interrupted.pop(entry.number, new)
        self.say(quiet=True)

    def epoch(self, number: int, epoch: int, accuracy: float, seconds: float) -> None:
        """Record the end of an epoch.

        Args:
            accuracy: on validation, as a fraction.
            seconds: of all attempts at the trial until then.
        """
        trial = self.running[number]
        if trial.epoch == 0:
            # Epochs of earlier runs are assumed to have taken as long as this one.
            self.to_do -= (epoch - 1) * trial.macs
            trial.epoch, trial.seconds = epoch - 1, seconds * (epoch - 1) / epoch
        self.trained += (epoch - trial.epoch) * trial.macs
        self.busy += seconds - trial.seconds
        trial.epoch, trial.seconds, trial.accuracy = epoch, seconds, accuracy
        self.say(quiet=True)

    def end(self, entry: TrialRecord) -> None:
        trial = self.running.pop(entry.number, None) or self.interrupted.pop(entry.number, None)
        # The planned work already includes stops at rungs.
        if trial is not None and entry.state != "stopped":
            self.to_do -= (trial.epochs - trial.epoch) * trial.macs
        self.count(entry)
        label = f" ({trial.label})" if trial and trial.label else ""
        if entry.state == "complete":
            self.write(
                f"trial {entry.number}{label}: {_accuracy(entry)} on validation,"
                f" {duration_text(entry.result.seconds or 0.0)}"
            )
        elif entry.state == "stopped":
            self.write(
                f"trial {entry.number}{label}: stopped after epoch {entry.result.epochs},"
                f" {_accuracy(entry)} on validation"
            )
        else:
            self.write(f"trial {entry.number}{label}: {entry.state}, {entry.result.reason}")
        self.say()

    def interrupt(self, number: int, why: str) -> None:
        self.interrupted[number] = self.running.pop(number)
        self.write(f"trial {number}: {why}")

    def rest(self, number: int) -> None:
        """Record that a trial has reached a rung."""
        if number in self.running:
            self.interrupted[number] = self.running.pop(number)
        self.say(quiet=True)

    def pause(self, why: str, until: str = "there is room") -> None:
        self.write(f"paused: {why}; it goes on when {until}")

    def count(self, entry: TrialRecord) -> None:
        """Add an ended trial to the counts."""
        self.done += entry.state == "complete"
        self.diverged += entry.state == "diverged"
        self.failed += entry.state == "failed"
        self.stopped += entry.state == "stopped"
        if entry.state == "complete":
            self.best = max(self.best or 0.0, entry.result.accuracy("val"))

    def line(self) -> str:
        parts = [f"{self.done} of {self.total} trials done", f"{len(self.running)} running"]
        parts += [f"{self.stopped} stopped at rungs"] if self.stopped else []
        parts += [f"{self.diverged} diverged"] if self.diverged else []
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"best {100 * self.best:.1f} %"] if self.best is not None else []
        left = self.left()
        parts += [f"about {duration_text(left)} left"] if left else []
        return ", ".join(parts)

    def left(self) -> float | None:
        """Estimated seconds left, from the rate of all slots; at least those of the longest trial.

        Multiply-adds are the measure of work. Very small models train slower than this predicts.
        """
        if self.busy == 0:
            return None
        rate = self.trained / self.busy
        longest = max((t.macs * (t.epochs - t.epoch) for t in self.running.values()), default=0.0)
        return max((self.to_do - self.trained) / (rate * self.slots), longest / rate, 0.0)

    def table(self) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.add_row(self.line(), "", "")
        for number, trial in sorted(self.running.items()):
            accuracy = "" if trial.accuracy is None else f"{100 * trial.accuracy:.1f} %"
            grid.add_row(
                f"  trial {number}  {trial.label}",
                f"epoch {trial.epoch} of {trial.epochs}",
                accuracy,
            )
        return grid

    def say(self, *, quiet: bool = False) -> None:
        """Print the counts, unless they are displayed already.

        Args:
            quiet: print only if the last line is older than `_QUIET` seconds.
        """
        if self.live is not None or (quiet and time.monotonic() - self.last_line < _QUIET):
            return
        self.last_line = time.monotonic()
        self.write(self.line())

    def write(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)


def _accuracy(entry: TrialRecord) -> str:
    return f"{100 * entry.result.accuracy('val'):.1f} %"


def _label(entry: TrialRecord) -> Iterator[str]:
    """The role of a trial that is not of the search, and the values of its axes."""
    match entry.about:
        case TwinTrial(of=of, control=control):
            yield f"{control} twin of {of}"
        case RateTrial(lr=lr):
            yield f"{'' if entry.values else 'twin '}lr {lr:g}"
        case ConfirmationTrial():
            yield "confirmation"
    for path, value in entry.values.items():
        yield f"{path.rsplit('.', 1)[-1]} {value}"
