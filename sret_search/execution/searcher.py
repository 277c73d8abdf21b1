"""The seam between Ray Tune and the ledger: Tune asks here what to train and tells how it ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ray.tune.search import Searcher

from sret_search.config.base import seconds
from sret_search.config.problems import shown
from sret_search.execution.attempts import Attempt, Waiting, node_of, reason_of
from sret_search.execution.branches import next_branch
from sret_search.execution.disk_space import Watermark
from sret_search.execution.node_exclusion import NodeExclusion
from sret_search.execution.progress import Progress
from sret_search.execution.resources import Slots
from sret_search.execution.shutdown import Stopping
from sret_search.planning.user_inputs import data_problem
from sret_search.search.phases import next_step
from sret_search.search.samplers.base import Ask, Sampler
from sret_search.search.scheduler import Decision, Scheduler
from sret_search.study import Study, StudyError
from sret_search.trials import failures
from sret_search.trials.database import LedgerLostError
from sret_search.trials.failures import Streak
from sret_search.trials.history import History
from sret_search.trials.lease import StudyHeldError
from sret_search.trials.ledger import Ledger
from sret_search.trials.retention import Keeper
from sret_search.trials.trial import TrialRecord

PREFETCH = 1
"""Trials that are begun in the ledger while all slots are taken, so that none waits for a sampler."""
_LOST = LedgerLostError, StudyHeldError, OSError
"""What a run cannot go on after, although nothing of the study is wrong."""
_FINISHED: str = Searcher.FINISHED
_A_TUNER = 1000
"""Attempts after which Ray's Tuner, which grows by 36 kB each, is replaced by a fresh one."""


class LedgerSearcher(Searcher):
    """Hands out attempts: first at trials that were begun and have no end, or were promoted at a
    rung, then at new ones.

    Ray's trials are attempts; ours are known by their number in the ledger. Ray would run as
    many as the machine has room for, and never fills the place of a dead worker again when
    trials are short, so this limits concurrency itself: Ray never has more attempts than slots.
    The next trial is asked for ahead, while all slots are taken, and waits here.

    Attributes:
        over: whether all trials have ended, or no more are to be handed out.
        trouble: what the user must mend before the study can go on.
    """

    def __init__(
        self,
        study: Study,
        ledger: Ledger,
        history: History,
        sampler: Sampler,
        slots: Callable[[], Slots],
        stopping: Stopping,
        progress: Progress,
        keeper: Keeper,
        watermark: Watermark,
        left_out: NodeExclusion,
    ) -> None:
        super().__init__()
        self.study, self.ledger, self.history, self.sampler = study, ledger, history, sampler
        self.slots, self.stopping, self.progress = slots, stopping, progress
        self.keeper, self.watermark, self.left_out = keeper, watermark, left_out
        self.rungs = Scheduler(study, sampler)
        self.waiting = Waiting(
            entry.number for entry in history.entries if entry.open and not self.rungs.waits(entry)
        )
        self.attempts: dict[str, Attempt] = {}
        self.dead: dict[str, Attempt] = {}
        self.streaks: dict[int, Streak] = defaultdict(Streak)
        self.paths: dict[str, list[int]] = defaultdict(list)
        for entry in history.entries:
            self._note_path(entry)
        self.handed, self.over, self.paused = 0, False, False
        self.has_just_handed = False
        self.trouble: str | None = None
        self.lost: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next attempt; None while there is none to give, FINISHED when all trials ended."""
        if self.stopping.look() or self.trouble is not None or self.lost is not None:
            self.over = not self.attempts
            return None if self.attempts else _FINISHED
        slots = self.slots()
        self.progress.slots = slots.number
        if self._is_full():
            return None
        if self.handed >= _A_TUNER:
            return None if self.attempts else _FINISHED
        try:
            if len(self.attempts) >= slots.number:
                self._look_ahead()
                return None
            number = self._next()
            if number is not None:
                return self._hand_out(trial_id, number, slots)
        except _LOST as lost:
            return self._lose(lost)
        if self.attempts or self.waiting:
            return None
        self.over = True
        return _FINISHED

    def _look_ahead(self) -> None:
        """Begin the trial that the next free slot takes. Tune starts what it was just given only
        after it has asked for more, so the first question after that is not made to wait."""
        if self.has_just_handed:
            self.has_just_handed = False
        elif not self.waiting.is_due and (number := self._next()) is not None:
            self.waiting.add(number)

    def renew(self) -> None:
        """Begin with a fresh Tuner."""
        self.handed = 0

    def _hand_out(self, trial_id: str, number: int, slots: Slots) -> dict[str, Any]:
        entry, folders = self.history.entries[number], self.ledger.folders
        earlier = [a for other in self._on_the_same_path(entry) for a in folders.attempts(other)]
        attempt = folders.new_attempt(number)
        self.attempts[trial_id] = Attempt(number, attempt)
        self.handed += 1
        self.has_just_handed = True
        self.progress.start(entry)
        compute, contents = self.study.file.compute, self.study.contents
        return {
            "job": entry.text,
            "root": folders.root,
            "attempt": attempt,
            "earlier": earlier,
            "checkpoint_every": seconds(compute.checkpoint_every),
            "step_timeout": seconds(compute.step_timeout),
            "gpus": slots.gpus,
            "tensorboard": self.study.file.tensorboard,
            "until": self.rungs.until(entry),
            "contents": None if contents is None else contents.to_dict(),
            "avoided": self.left_out.avoided(number),
        }

    def _note_path(self, entry: TrialRecord) -> None:
        if entry.schedule == "wsd":
            self.paths[entry.job.trajectory].append(entry.number)

    def _on_the_same_path(self, entry: TrialRecord) -> list[int]:
        """This trial, its parent, and those from whose checkpoints before a decay it could go
        on."""
        wsd = entry.schedule == "wsd"
        found = self.paths[entry.job.trajectory] if wsd else [entry.number]
        return found if entry.parent is None else [*found, entry.parent]

    def _next(self) -> int | None:
        while True:
            while (number := self.waiting.take()) is not None:
                # A worker whose driver was killed may have ended the attempt a moment ago.
                if not self._has_ended(self.history.entries[number]):
                    return number
            is_idle = not (self.attempts or self.waiting)
            step = next_step(self.history, self.sampler, self.rungs, is_idle)
            if isinstance(step, Ask):
                return self._begin(step)
            if not isinstance(step, Decision):
                return self._next_branch() if step is None else None
            self._carry_out(step)

    def _has_ended(self, entry: TrialRecord) -> bool:
        """Whether an attempt has ended a trial, or has come to the rung that it was to come to;
        the ledger is told then."""
        outcome = self.ledger.outcome(entry)
        if outcome is not None:
            self._tell(entry, outcome)
            return True
        epoch = self.rungs.until(entry)
        measured = None if epoch is None else self.ledger.reached(entry, epoch)
        if epoch is None or measured is None:
            return False
        self.history.replace(self.ledger.reach(entry, epoch, measured))
        self.streaks.pop(entry.number, None)
        self.progress.rest(entry.number)
        self.keeper.rests(entry)
        return True

    def _carry_out(self, decision: Decision) -> None:
        for number, until in decision.promoted.items():
            self.history.replace(self.ledger.promote(self.history.entries[number], until))
            self.waiting.add(number)
        for number in decision.stopped:
            entry = self.history.entries[number]
            self._tell(entry, entry.stopped)

    def _begin(self, asked: Ask) -> int:
        candidate = asked.candidate
        seed = self.study.file.search.seed + asked.seed
        device = "cuda" if self.slots().gpus else "cpu"
        job = self.study.job(candidate, seed, device, compared=asked.role == "search")
        images, val_images, _ = self.study.sizes
        entry = self.ledger.begin(
            replace(job, whole=asked.whole),
            candidate.values,
            images + val_images if asked.whole else images,
            asked.notes,
            asked.memory,
            asked.role,
            asked.about,
        )
        return self._begun(entry)

    def _next_branch(self) -> int | None:
        try:
            branch = next_branch(self.study, self.ledger, self.history)
        except StudyError as error:
            self.trouble = f"{shown(self.study.path)}: {error}"
            return None
        if branch is None:
            return None
        job, parent = branch
        return self._begun(self.ledger.begin(job, parent.values, parent.images))

    def _begun(self, entry: TrialRecord) -> int:
        self.history.begin(entry)
        self.progress.total = max(self.progress.total, len(self.history))
        self._note_path(entry)
        return entry.number

    def entry_of(self, trial_id: str) -> TrialRecord:
        """The trial that an attempt, which Ray has, is at."""
        return self.history.entries[self.attempts[trial_id].number]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        attempt = self.attempts.get(trial_id)
        if attempt is None:
            return
        if "epoch" in result:
            told = result["epoch"], result["val_accuracy"], result["seconds"]
            self.progress.epoch(attempt.number, *told)
            attempt.has_trained = True
        if "failed" in result:
            attempt.cause, attempt.reason = result["failed"], result["reason"]
        if "unseen" in result:
            self.trouble = (
                f"{shown(self.study.path)}: {result['unseen']}; `storage.trials` must be a folder that"
                " all machines share, or the URL of one in an object store"
            )

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        attempt = self.attempts.pop(trial_id)
        if error:
            # Tune says why in a moment, to its callbacks.
            self.dead[trial_id] = attempt
        else:
            self._end(attempt)

    def died(self, trial_id: str, text: str) -> None:
        """Take what Ray has to say of a worker that did not end as it should."""
        attempt = self.dead.pop(trial_id)
        if attempt.cause is None:
            attempt.cause, attempt.reason = failures.told(text)
        self._end(attempt)

    def _end(self, attempt: Attempt) -> None:
        try:
            self._settle(attempt)
        except _LOST as lost:
            self._lose(lost)

    def _settle(self, attempt: Attempt) -> None:
        entry = self.history.entries[attempt.number]
        if self._has_ended(entry):
            if self.left_out.suspects and self.history.entries[entry.number].state != "failed":
                self.left_out.trains(node_of(self.ledger, attempt))
            return
        timeout = self.study.file.compute.step_timeout
        cause, reason = reason_of(self.ledger, entry, attempt, timeout)
        progress = bool(self.ledger.folders.checkpoints(attempt.folder))
        if cause == failures.DATA:
            self.trouble = str(data_problem(self.study, reason))
        elif cause in failures.OF_NODES and not self.stopping.asked:
            self._blame(attempt, cause, reason, progress)
        if self.trouble is not None or (self.stopping.asked and cause in failures.OF_NODES):
            self.progress.interrupt(entry.number, self.trouble or "stopped; it has a checkpoint")
            return
        entry = self.ledger.fail(entry, cause)
        self.history.replace(entry)
        wait = self.streaks[entry.number].wait(cause, progress)
        if wait is not None:
            self.waiting.delay(entry.number, wait)
            self.progress.interrupt(entry.number, f"{reason}; it goes on from its last checkpoint")
            return
        times = f", {entry.failures[cause]} times" if entry.failures[cause] > 1 else ""
        self._tell(entry, {"state": "failed", "cause": cause, "reason": f"{reason}{times}"})

    def _blame(self, attempt: Attempt, cause: str, reason: str, progress: bool) -> None:
        """Count a failure against the node that it happened on."""
        node = node_of(self.ledger, attempt)
        if progress or attempt.has_trained:
            self.left_out.trains(node)
        elif (name := self.left_out.fails(node, attempt.number)) is not None:
            self.progress.write(
                f"the node {name} gets no more trials, since several in a row failed there without"
                f" a step: {reason}"
            )
        elif cause == failures.MACHINE and self.left_out.is_last(node):
            self.trouble = f"this machine cannot train: {reason}; repair it, and run again"

    def _tell(self, entry: TrialRecord, outcome: dict[str, Any]) -> None:
        entry = self.ledger.tell(entry, outcome)
        self.history.end(entry)
        self.streaks.pop(entry.number, None)
        self.progress.end(entry)
        self.keeper.ended(entry)

    def _is_full(self) -> bool:
        """Whether the disk is: nothing new is begun then, and all goes on once it is not."""
        full = self.watermark.full
        if full and not self.paused:
            self.progress.pause(str(self.watermark))
        self.paused = full
        return full

    def _lose(self, lost: Exception) -> str:
        self.lost = (
            LedgerLostError(f"the folders of trials are lost: {lost}")
            if isinstance(lost, OSError)
            else lost
        )
        self.stopping.now()
        return _FINISHED

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its searcher for a restore that is never asked for: the ledger has it all."""
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...
