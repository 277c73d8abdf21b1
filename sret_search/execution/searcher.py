"""Interface between Ray Tune and the ledger: it gives attempts to Tune and records how they end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ray.tune.search import Searcher

from sret_search.config.base import seconds
from sret_search.config.problems import shown
from sret_search.execution import messages
from sret_search.execution.attempts import Attempt, Waiting, node_of, reason_of
from sret_search.execution.branches import Trajectories, next_branch
from sret_search.execution.disk_space import Watermark
from sret_search.execution.messages import AttemptFailed, AttemptOrder, FolderUnseen
from sret_search.execution.node_exclusion import NodeExclusion
from sret_search.execution.progress import Progress
from sret_search.execution.resources import Slots
from sret_search.execution.shutdown import Stopping
from sret_search.planning.user_inputs import data_problem
from sret_search.search.phases import next_step
from sret_search.search.samplers.base import Ask, Sampler
from sret_search.search.scheduler import Decision, Scheduler
from sret_search.study import Study, StudyError
from sret_search.training.results import EpochMetrics, Notice
from sret_search.trials import failures, worker_files
from sret_search.trials.database import LedgerLostError
from sret_search.trials.failures import Streak
from sret_search.trials.history import History
from sret_search.trials.lease import StudyHeldError
from sret_search.trials.ledger import Ledger
from sret_search.trials.retention import Keeper
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult, failed

PREFETCH = 1
"""Trials that begin in the ledger while all slots are taken. No slot waits for a sampler."""
_LOST = LedgerLostError, StudyHeldError, OSError
"""Errors after which a run cannot continue, although the study itself is correct."""
_FINISHED: str = Searcher.FINISHED
_A_TUNER = 1000
"""Attempts after which Ray's Tuner is replaced. It grows by 36 kB with each attempt."""


class LedgerSearcher(Searcher):
    """Gives attempts to Tune: at open trials and at those promoted at a rung, then at new ones.

    A trial of Ray is an attempt, and a trial of the study has a number in the ledger. Ray would run
    as many attempts as the machine has room for. It also never replaces a dead worker when few
    trials are left. So the searcher itself limits concurrency: Ray never has more attempts than
    slots. While all slots are taken, the next trial is chosen ahead and waits here.

    Attributes:
        over: whether all trials have ended, or no more attempts are to be given.
        trouble: a problem that the user must fix before the study can continue.
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
        self.trajectories = Trajectories(history.entries)
        self.handed, self.over, self.paused = 0, False, False
        self.has_just_handed = False
        self.trouble: str | None = None
        self.lost: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next attempt; None while there is none, FINISHED when all trials have ended."""
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
        """Begin the trial for the next free slot. The first call after an attempt was given does
        not: Tune starts that attempt only after the call."""
        if self.has_just_handed:
            self.has_just_handed = False
        elif not self.waiting.is_due and (number := self._next()) is not None:
            self.waiting.add(number)

    def renew(self) -> None:
        """Prepare for a new Tuner."""
        self.handed = 0

    def _hand_out(self, trial_id: str, number: int, slots: Slots) -> dict[str, Any]:
        entry, folders = self.history.entries[number], self.ledger.folders
        sources = self.trajectories.sources(entry)
        earlier = [attempt for source in sources for attempt in folders.attempts(source)]
        attempt = folders.new_attempt(number)
        self.attempts[trial_id] = Attempt(number, attempt)
        self.handed += 1
        self.has_just_handed = True
        self.progress.start(entry)
        compute = self.study.file.compute
        order = AttemptOrder(
            job=entry.text,
            root=folders.root,
            attempt=attempt,
            earlier=earlier,
            checkpoint_every=seconds(compute.checkpoint_every),
            step_timeout=seconds(compute.step_timeout),
            gpus=slots.gpus,
            tensorboard=self.study.file.tensorboard,
            until=self.rungs.until(entry),
            contents=self.study.contents,
            avoided=self.left_out.avoided(number),
        )
        return order.to_dict()

    def _next(self) -> int | None:
        while True:
            while (number := self.waiting.take()) is not None:
                # A worker whose driver was killed may have ended the attempt since.
                if not self._has_ended(self.history.entries[number]):
                    return number
            is_idle = not (self.attempts or self.waiting)
            try:
                step = next_step(self.history, self.sampler, self.rungs, is_idle)
            except StudyError as error:  # from the user's sampler
                self.trouble = str(error)
                return None
            if isinstance(step, Ask):
                return self._begin(step)
            if not isinstance(step, Decision):
                return self._next_branch() if step is None else None
            self._carry_out(step)

    def _has_ended(self, entry: TrialRecord) -> bool:
        """Whether an attempt has ended a trial or reached its rung. The ledger then records it."""
        result = self.ledger.outcome(entry)
        if result is not None:
            self._tell(entry, result)
            return True
        epoch = self.rungs.until(entry)
        if epoch is None:
            return False
        reached = worker_files.reached(self.ledger.folders, entry, epoch)
        if reached is None:
            return False
        self.history.replace(self.ledger.reach(entry, epoch, reached))
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

    def _begin(self, ask: Ask) -> int:
        candidate = ask.candidate
        seed = self.study.file.search.seed + ask.seed
        device = "cuda" if self.slots().gpus else "cpu"
        job = self.study.job(candidate, seed, device, compared=ask.role == "search")
        images, val_images, _ = self.study.sizes
        entry = self.ledger.begin(
            replace(job, whole=ask.whole),
            candidate.values,
            images + val_images if ask.whole else images,
            ask.role,
            ask.about,
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
        self.trajectories.add(entry)
        return entry.number

    def entry_of(self, trial_id: str) -> TrialRecord:
        """The trial of an attempt that Ray runs."""
        return self.history.entries[self.attempts[trial_id].number]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        attempt = self.attempts.get(trial_id)
        if attempt is None:
            return
        report = messages.from_dict(result)
        if isinstance(report, EpochMetrics):
            accuracy, seconds = report.val_accuracy, report.seconds
            self.progress.epoch(attempt.number, report.epoch, accuracy, seconds)
            attempt.has_trained = True
        elif isinstance(report, Notice):
            self.progress.write(f"trial {attempt.number}: {report.text}")
        elif isinstance(report, AttemptFailed):
            attempt.cause, attempt.reason = report.cause, report.reason
        elif isinstance(report, FolderUnseen):
            self.trouble = (
                f"{shown(self.study.path)}: {report.reason}; `storage.trials` must be a folder that"
                " all machines share, or the URL of one in an object store"
            )

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        attempt = self.attempts.pop(trial_id)
        if error:
            # Tune gives the reason later, to its callbacks.
            self.dead[trial_id] = attempt
        else:
            self._end(attempt)

    def died(self, trial_id: str, text: str) -> None:
        """Record Ray's message about a worker that died."""
        attempt = self.dead.pop(trial_id)
        if attempt.cause is None:
            attempt.cause, attempt.reason = failures.cause_and_reason(text)
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
        elif cause in failures.OF_NODES and not self.stopping.requested:
            self._blame(attempt, cause, reason, progress)
        if self.trouble is not None or (self.stopping.requested and cause in failures.OF_NODES):
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
        self._tell(entry, failed(cause, f"{reason}{times}"))

    def _blame(self, attempt: Attempt, cause: str, reason: str, progress: bool) -> None:
        """Count a failure of the node on which an attempt ran."""
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

    def _tell(self, entry: TrialRecord, result: TrialResult) -> None:
        entry = self.ledger.tell(entry, result)
        self.history.end(entry)
        self.streaks.pop(entry.number, None)
        self.progress.end(entry)
        self.keeper.ended(entry)

    def _is_full(self) -> bool:
        """Whether the disk is full. Then no attempt begins until it has space again."""
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
        """Leave out all state. Ray pickles its searcher for a restore that never happens."""
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...
