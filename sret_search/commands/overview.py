"""Records of what is known of a study before it is run. `plan --json` prints them by these names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sret_search.planning.disk_usage import DiskEstimate
from sret_search.planning.plan import ComputedLength
from sret_search.planning.space_statistics import Range


@dataclass(frozen=True, slots=True)
class DataOverview:
    """The data set.

    Attributes:
        name: its name, or its folder.
        images: number of images, by part; zeros while not known.
        folders: the folders of the parts, for the reader; empty if there are none.
    """

    name: str
    images: Mapping[str, int]
    folders: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceOverview:
    """The space.

    Attributes:
        combinations: number of combinations of values; None if countless.
        looked_at: number of combinations that were checked.
        exact: whether all were checked.
        built, feasible, distinct: numbers of those that can be built, that are also within the
            budget, and of different models among the latter.
        feasible_share, feasible_share_interval: with a 95 % interval.
        costs: of the feasible candidates, by name.
    """

    combinations: int | None
    looked_at: int
    exact: bool
    built: int
    feasible: int
    feasible_share: float
    feasible_share_interval: Sequence[float]
    distinct: int
    costs: Mapping[str, Range]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingsOverview:
    """The trainings.

    Attributes:
        exact: whether their number is known.
        by_role: their number, by the reason for the trial.
        model_based: number of those that the sampler chooses by a model.
    """

    total: int
    exact: bool
    by_role: Mapping[str, int]
    sampler: str
    model_based: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerOverview:
    """The scheduler and its rungs.

    Attributes:
        rungs: epochs after which trials are compared.
        epochs: length of a whole training.
        share_trained: the share of all epochs that is trained.
    """

    name: str
    rungs: Sequence[int]
    epochs: float
    share_trained: float


@dataclass(frozen=True, slots=True)
class ComputeOverview:
    """The hardware, and the number of trials that run on it at a time."""

    hardware: str
    at_a_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOverview:
    """The time of the study in seconds; None while the data is not known.

    Attributes:
        calibrated: whether it is predicted from measured steps.
        points: number of candidates that were measured.
    """

    calibrated: bool
    points: int
    seconds: float | None
    seconds_of_trials: float | None
    seconds_of_longest_trial: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOverview:
    """A candidate of the space.

    Attributes:
        values: of the axes, by path.
        seconds: of its training; None while the data is not known.
    """

    values: Mapping[str, Any]
    params: int
    macs: int
    executions: int
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All that is known of a study before it is run: bytes, seconds, fractions.

    Attributes:
        budget: the bounds "min" and "max" of each cost, by name.
        lengths: what lengths in multiply-adds mean in samples.
        untrained: a sentence on parts that keep their initial weights; None if all are trained.
        scheduler: None if every trial is trained to its end.
        plot: the path of the plot; None if none is drawn.
    """

    study: str
    data: DataOverview
    space: SpaceOverview
    budget: Mapping[str, Mapping[str, float | None]]
    trainings: TrainingsOverview
    lengths: Sequence[ComputedLength]
    untrained: str | None
    scheduler: SchedulerOverview | None
    compute: ComputeOverview
    time: TimeOverview
    disk: DiskEstimate
    plot: str | None
    samples: Sequence[SampleOverview]

    def to_json(self) -> dict[str, Any]:
        """The object that `plan --json` prints."""
        plain = asdict(self)
        plain["disk"]["total"] = self.disk.total
        return plain
