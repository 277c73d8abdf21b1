"""The seam between Ray Tune and the ledger: Tune asks here what to train and tells how it ended."""

from __future__ import annotations

import json
from typing import Any

from ray.tune.search import Searcher

from sret_search.search.ledger import Entry, Ledger
from sret_search.search.progress import Progress
from sret_search.search.sampling import Sampler
from sret_search.study import Study

_DEATHS = 5
"""Workers that may die on one trial before it counts as failed."""


class LedgerSearcher(Searcher):
    """Hands out attempts: first at trials that were begun and have no end, then at new ones.

    Ray's trials are attempts; ours are known by their number in the ledger. Ray keeps one
    trial waiting, and never fills the place of a dead worker again when trials are short, so
    this limits concurrency itself and Ray is told to let as many wait as there are slots.
    """

    def __init__(
        self,
        study: Study,
        ledger: Ledger,
        sampler: Sampler,
        slots: int,
        device: str,
        progress: Progress,
    ) -> None:
        super().__init__()
        self.study, self.ledger, self.sampler = study, ledger, sampler
        self.slots, self.device, self.progress = slots, device, progress
        self.entries = {entry.number: entry for entry in ledger.entries()}
        self.waiting = [entry.number for entry in self.entries.values() if entry.open]
        self.attempts: dict[str, int] = {}
        self.deaths: dict[int, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next attempt; None while there is none to give, FINISHED when all trials ended."""
        if len(self.attempts) >= self.slots:
            return None
        number = self._next()
        if number is None:
            return None if self.attempts else Searcher.FINISHED
        entry = self.entries[number]
        earlier = self.ledger.attempts(number)
        attempt = self.ledger.next_attempt(number)
        self.attempts[trial_id] = number
        self.progress.start(entry)
        return {
            "job": json.dumps(entry.job.to_dict()),
            "attempt": str(attempt.resolve()),
            "earlier": [str(path.resolve()) for path in earlier],
        }

    def _next(self) -> int | None:
        if self.waiting:
            return self.waiting.pop(0)
        asked = self.sampler.ask(list(self.entries.values()))
        if asked is None:
            return None
        candidate, seed = asked
        job = self.study.job(candidate, self.study.file.search.seed + seed, self.device)
        number = self.ledger.begin(job, candidate.values, self.study.space.axes)
        self.entries[number] = Entry(number, "running", candidate.values, job, {})
        return number

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if "epoch" in result and trial_id in self.attempts:
            number = self.attempts[trial_id]
            self.progress.epoch(number, result["epoch"], result["val_accuracy"], result["seconds"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        number = self.attempts.pop(trial_id)
        if self.ledger.adopt(number):
            self.entries[number] = self.ledger.entry(number)
            self.progress.end(self.entries[number])
            return
        deaths = self.deaths[number] = self.deaths.get(number, 0) + 1
        if deaths < _DEATHS:
            self.progress.interrupt(number, "its worker died; it goes on from its last checkpoint")
            self.waiting.append(number)
            return
        reason = f"its worker died {deaths} times (killed, or out of memory)"
        self.ledger.tell(number, {"state": "failed", "reason": reason})
        self.entries[number] = self.ledger.entry(number)
        self.progress.end(self.entries[number])

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its searcher for a restore that is never asked for: the ledger has it all."""
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...
