"""An Optuna study in memory, whose cost per trial stays small as trials grow in number.

Optuna's samplers sample for a trial that already exists. For this, Optuna's storages copy, search
or index every trial. Here the number of a trial is its place and its id. A draw is added at the end
and removed again, and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

NAME = "mirror"


class Mirror(BaseStorage):
    """The trials that a sampler sees.

    Attributes:
        trials: by number. A trial hidden from the sampler is failed and has no values.
        attributes: those of the study.
        written: names of all attributes that were set, of the study and of trials.
    """

    def __init__(self, directions: Iterable[str]) -> None:
        self.trials: list[FrozenTrial] = []
        self.attributes: dict[str, Any] = {}
        self.written: set[str] = set()
        self._directions = [
            StudyDirection.MAXIMIZE if direction == "max" else StudyDirection.MINIMIZE
            for direction in directions
        ]

    def forget(self, number: int) -> None:
        """Remove this trial and all later ones."""
        del self.trials[number:]

    # Methods that samplers and Optuna's study call.

    def get_study_id_from_name(self, study_name: str) -> int:
        return 0

    def get_study_name_from_id(self, study_id: int) -> str:
        return NAME

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.attributes

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.written.add(key)
        self.attributes[key] = value

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        assert template_trial is None, "trials that are known are put in place"
        self.trials.append(trial(len(self.trials), TrialState.RUNNING))
        return len(self.trials) - 1

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        draw = self.trials[trial_id]
        draw.params[param_name] = distribution.to_external_repr(param_value_internal)
        draw.distributions[param_name] = distribution

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        self.trials[trial_id].state = state
        self.trials[trial_id].values = values
        return True

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.written.add(key)
        self.trials[trial_id].system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self.trials[trial_id]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """A new list of the trials themselves, which the caller must not change."""
        # Optuna asks for waiting trials before every draw. Here there are none.
        if states == (TrialState.WAITING,):
            return []
        if states is None:
            return self.trials.copy()
        return [trial for trial in self.trials if trial.state in states]

    # Methods that a storage must have, and that are never called here.

    def create_new_study(self, *given: Any, **named: Any) -> NoReturn:
        raise NotImplementedError

    def delete_study(self, study_id: int) -> NoReturn:
        raise NotImplementedError

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> NoReturn:
        raise NotImplementedError

    def get_all_studies(self) -> NoReturn:
        raise NotImplementedError

    def set_trial_intermediate_value(self, *given: Any, **named: Any) -> NoReturn:
        raise NotImplementedError

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> NoReturn:
        raise NotImplementedError


def trial(
    number: int,
    state: TrialState,
    params: dict[str, Any] | None = None,
    distributions: dict[str, BaseDistribution] | None = None,
) -> FrozenTrial:
    """An Optuna trial, without the data that no sampler reads."""
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params=params or {},
        distributions=distributions or {},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
