"""The seam between Ray Tune and the ledger: Tune asks here what to train and tells how it ended."""

from __future__ import annotations

import json
from typing import Any

from ray.tune.search import Searcher

from sret_search.search.ledger import Entry, Ledger
from sret_search.search.progress import Progress
from sret_search.search.sampling import Sampler
from sret_search.study import Study
from sret_search.study.schema import seconds
from sret_search.training.names import HANG

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
        gpus: float,
        progress: Progress,
    ) -> None:
        super().__init__()
        self.study, self.ledger, self.sampler = study, ledger, sampler
        self.slots, self.gpus, self.progress = slots, gpus, progress
        self.entries = {entry.number: entry for entry in ledger.entries()}
        self.waiting = [entry.number for entry in self.entries.values() if entry.open]
        self.attempts: dict[str, int] = {}
        self.deaths: dict[int, int] = {}
        self.unreadable: str | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next attempt; None while there is none to give, FINISHED when all trials ended."""
        if len(self.attempts) >= self.slots:
            return None
        number = self._next() if self.unreadable is None else None
        if number is None:
            return None if self.attempts else Searcher.FINISHED
        entry = self.entries[number]
        earlier = [
            attempt
            for other in self._on_the_same_path(entry)
            for attempt in self.ledger.attempts(other)
        ]
        attempt = self.ledger.next_attempt(number)
        self.attempts[trial_id] = number
        self.progress.start(entry)
        return {
            "job": json.dumps(entry.job.to_dict()),
            "attempt": str(attempt.resolve()),
            "earlier": [str(path.resolve()) for path in earlier],
            "checkpoint_every": seconds(self.study.file.compute.checkpoint_every),
            "gpus": self.gpus,
            "step_timeout": seconds(self.study.file.compute.step_timeout),
        }

    def _on_the_same_path(self, entry: Entry) -> list[int]:
        """This trial, and those from whose checkpoints before a decay it could go on."""
        if entry.job.recipe.schedule != "wsd":
            return [entry.number]
        path = entry.job.trajectory
        return [e.number for e in self.entries.values() if e.job.trajectory == path]

    def _next(self) -> int | None:
        if self.waiting:
            return self.waiting.pop(0)
        asked = self.sampler.ask(list(self.entries.values()))
        if asked is None:
            return None
        candidate, seed = asked
        job = self.study.job(
            candidate, self.study.file.search.seed + seed, "cuda" if self.gpus else "cpu"
        )
        images = self.study.sizes[0]
        number = self.ledger.begin(job, candidate.values, self.study.space.axes, images)
        self.entries[number] = Entry(number, "running", candidate.values, job, images, {})
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
        unreadable = self.ledger.unreadable(number)
        if unreadable is not None:
            self.unreadable = unreadable
            self.progress.interrupt(number, unreadable)
            return
        deaths = self.deaths[number] = self.deaths.get(number, 0) + 1
        if deaths < _DEATHS:
            why = "hung" if self._hung(number) else "died"
            self.progress.interrupt(
                number, f"its worker {why}; it goes on from its last checkpoint"
            )
            self.waiting.append(number)
            return
        timeout = self.study.file.compute.step_timeout
        why, cause = "died (killed, or out of memory)", "worker died"
        if self._hung(number):
            why, cause = f"hung (no step in {timeout}; stacks in {HANG})", "worker hung"
        reason = f"its worker {why}, {deaths} times"
        self.ledger.tell(number, {"state": "failed", "cause": cause, "reason": reason})
        self.entries[number] = self.ledger.entry(number)
        self.progress.end(self.entries[number])

    def _hung(self, number: int) -> bool:
        """Whether the last attempt ended itself because no step did."""
        *_, last = self.ledger.attempts(number)
        return (last / HANG).exists() and (last / HANG).stat().st_size > 0

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its searcher for a restore that is never asked for: the ledger has it all."""
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...
