"""A study that is trained in this process: the searcher and the worker are real, Ray is played."""

import io
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import ray.tune
from rich.console import Console

from sret_search.execution import worker
from sret_search.execution.node_exclusion import NodeExclusion
from sret_search.execution.progress import Progress
from sret_search.execution.resources import Slots
from sret_search.execution.searcher import PREFETCH, LedgerSearcher
from sret_search.execution.shutdown import Stopping
from sret_search.search import phases
from sret_search.study import load_study
from sret_search.trials.history import History
from sret_search.trials.ledger import Ledger
from sret_search.trials.retention import Keeper
from sret_search.trials.trial import TrialRecord


class Watermark:
    full = False


class InProcess:
    """The driver of a study and its only worker."""

    def __init__(self, study: Path, slots: int = 1) -> None:
        made = load_study(study)
        self.ledger = Ledger.create(made)
        self.ledger.freeze(slots + PREFETCH)
        history = History(made, self.ledger.entries(), self.ledger.window)
        self.searcher = LedgerSearcher(
            made, self.ledger, history, phases.build(made),
            lambda: Slots(slots, 1, 0.0), Stopping(self.ledger.folders.ask_to_stop, print, None),
            Progress(9, slots, 1.0, Console(file=io.StringIO())),
            Keeper(self.ledger.folders, 10**9), Watermark(), NodeExclusion(lambda: {"": "here"}),
        )  # fmt: skip
        self._names: Iterator[int] = count()

    def next(self) -> tuple[str, dict[str, Any]] | None:
        """The next attempt by Ray's name for it; None where the study is over."""
        while not self.searcher.over:
            name = str(next(self._names))
            config = self.searcher.suggest(name)
            if isinstance(config, dict):
                return name, config
        return None

    def train(self, name: str, config: dict[str, Any]) -> TrialRecord:
        """Train an attempt to its end; its trial as the ledger has it then."""
        number = self.searcher.attempts[name].number
        with pytest.MonkeyPatch.context() as patch:
            told = self.searcher.on_trial_result
            patch.setattr(ray.tune, "report", lambda report: told(name, report))
            worker.attempt_trial(config)
        self.searcher.on_trial_complete(name)
        return self.ledger.entries()[number]

    def run(self, most: int = 1000) -> int:
        """Train so many attempts, or all; how many there were."""
        for attempt in range(most):
            given = self.next()
            if given is None:
                return attempt
            self.train(*given)
        return most
