"""Ray Tune callbacks of the user, which see trials as the ledger records them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune import Callback

from sret_search import importing
from sret_search.execution import messages
from sret_search.execution.messages import AttemptEnded, AttemptFailed
from sret_search.study import Study, StudyError
from sret_search.training.results import EpochMetrics
from sret_search.trials.trial import TrialRecord


def named(study: Study) -> list[Callback]:
    """Make the callbacks that `compute.callbacks` names.

    Raises:
        StudyError: a callback cannot be imported or made, or has another class.
    """
    callbacks, problems, doc = [], [], study.source
    for i, path in enumerate(study.file.compute.callbacks):
        try:
            callbacks.append(_made(path))
        except importing.NotImportedError as error:
            problems.append(doc.problem(("compute", "callbacks", i), str(error)))
    if problems:
        raise StudyError(problems)
    return callbacks


def _made(path: str) -> Callback:
    make = importing.load(path)
    try:
        callback = make()
    except (Exception, SystemExit) as error:
        reason = importing.summary(error)
        raise importing.NotImportedError(f"{path} cannot be made: {reason}") from error
    if not isinstance(callback, Callback):
        kind = type(callback).__name__
        raise importing.NotImportedError(f"{path} makes a {kind}, not a ray.tune.Callback")
    return callback


class TrialView:
    """View of an attempt for a callback of the user: Ray's trial with another `config`.

    Args:
        trial: Ray's trial.
        entry: the trial of the study that it attempts.
    """

    def __init__(self, trial: Any, entry: TrialRecord) -> None:
        self._trial, self._number = trial, entry.number
        self.config = config_of(entry)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def __str__(self) -> str:
        return f"trial_{self._number}"


def config_of(entry: TrialRecord) -> dict[str, Any]:
    """The configuration of a trial that a callback sees.

    `stages.*.loops` is named `stages.loops`, since MLflow refuses an asterisk.
    """
    values = {path.replace("*.", ""): value for path, value in entry.values.items()}
    known = {"trial": entry.number, "candidate": entry.candidate, "seed": entry.seed}
    return {**known, **entry.cost, **values}


class CallbackAdapter(Callback):
    """Reports attempts and their epochs to a callback of the user.

    A callback that fails is not called again, and the study continues.

    Args:
        callback: of the user.
        name: of the callback, for messages.
        entry: returns the trial of an attempt, by Ray's name of the attempt.
        say: prints a message to the user.
    """

    def __init__(
        self,
        callback: Callback,
        name: str,
        entry: Callable[[str], TrialRecord],
        say: Callable[[str], None],
    ) -> None:
        self._callback, self._name, self._entry, self._say = callback, name, entry, say
        self._seen: dict[str, TrialView] = {}
        self._ends: dict[str, bool] = {}
        self._failed = False

    def setup(self, *args: Any, **info: Any) -> None:
        self._tell("setup", **info)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        seen = TrialView(trial, self._entry(trial.trial_id))
        self._seen[trial.trial_id] = seen
        self._tell("on_trial_start", iteration=iteration, trials=self._trials, trial=seen)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        seen = self._seen[trial.trial_id]
        report = messages.from_dict(result)
        if isinstance(report, EpochMetrics):
            shown = {**result, "config": dict(seen.config)}
            given = {"iteration": iteration, "trials": self._trials, "trial": seen}
            self._tell("on_trial_result", **given, result=shown)
        elif isinstance(report, AttemptFailed | AttemptEnded):
            # A failure is reported first, then the end. A worker may be replaced after either.
            self._ends.setdefault(trial.trial_id, isinstance(report, AttemptEnded))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(iteration, trial, well=self._ends.pop(trial.trial_id, True))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(iteration, trial, well=self._ends.pop(trial.trial_id, False))

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self._tell("on_experiment_end", trials=self._trials)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out all state. Ray pickles its callbacks for a restore that never happens."""
        return {}

    @property
    def _trials(self) -> list[TrialView]:
        return [*self._seen.values()]

    def _end(self, iteration: int, trial: Any, *, well: bool) -> None:
        hook = "on_trial_complete" if well else "on_trial_error"
        seen = self._seen[trial.trial_id]
        self._tell(hook, iteration=iteration, trials=self._trials, trial=seen)
        del self._seen[trial.trial_id]

    def _tell(self, hook: str, **given: Any) -> None:
        if self._failed:
            return
        try:
            getattr(self._callback, hook)(**given)
        except Exception as error:  # noqa: BLE001  whatever code of others raises
            self._failed = True
            reason = importing.summary(error)
            self._say(f"the callback {self._name} failed in {hook}: {reason}; it is told no more")
