"""The two files, as types: every key that a study or a space may have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from sret_search.architecture import Architecture
from sret_search.job import Data, Recipe

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Positive = Annotated[int, Field(ge=1)]
Duration = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(s|min|h)$")]
Size = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(MB|GB|TB)$")]
ImportPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Objective = Literal[
    "accuracy", "loss", "params", "macs", "train_macs", "memory", "latency_ms"
]  # fmt: skip


def seconds(duration: str) -> float:
    """A duration such as 10min."""
    unit = next(unit for unit in ("min", "s", "h") if duration.endswith(unit))
    return float(duration.removesuffix(unit)) * {"s": 1, "min": 60, "h": 3600}[unit]


def size(text: str) -> int:
    """Bytes of a size such as 20GB."""
    return round(float(text[:-2]) * {"MB": 10**6, "GB": 10**9, "TB": 10**12}[text[-2:]])


Bytes = Annotated[Size, AfterValidator(size)]


class Strict(BaseModel):
    """No unknown keys, no conversions between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Axis(Strict):
    """Values for one field: `choices`, or the numbers from `low` to `high`, or those of another
    axis.

    Attributes:
        choices: each value that the field may have.
        low, high: the least and the largest number, both included; of divisors, those kept.
        log: numbers are drawn evenly in the logarithm.
        divisors: slice groups that divide the tokens of the stage, whatever these are.
        entries: the values are lists of so many entries, each of which is one of the above.
        same_as: another axis, above this one, which the field follows.
        times, plus: what it is multiplied by, and what is then added, where it follows another.
        when: other axes, and the values under which this one counts; elsewhere the field keeps
            the value of the space's architecture.
    """

    choices: Annotated[list[Any], Field(min_length=1)] | None = None
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    divisors: Literal["tokens"] | None = None
    entries: Positive | None = None
    same_as: str | None = None
    times: float | int = 1
    plus: float | int = 0
    when: dict[str, list[Any]] = {}


class Limit(Strict):
    """Bounds, both included."""

    min: float | int | None = None
    max: float | int | None = None


class SizeLimit(Strict):
    """Bounds in bytes, both included; a size such as 2GB is one, too."""

    min: Bytes | float | int | None = None
    max: Bytes | float | int | None = None


class Budget(Strict):
    """What a candidate may cost; the others are dropped before training.

    Attributes:
        params: parameters.
        macs: multiply-adds of one image.
        train_macs: multiply-adds of the whole training.
        executions: runs of blocks in one forward pass.
        memory: bytes of a training step, of which activations beyond 2 GiB are recomputed.
        seconds: predicted, of one training on this machine; needs a calibration.
    """

    params: Limit = Limit()
    macs: Limit = Limit()
    train_macs: Limit = Limit()
    executions: Limit = Limit()
    memory: SizeLimit = SizeLimit()
    seconds: Limit = Limit()


class SpaceFile(Strict):
    """A complete architecture, or a variant's name, and axes that each replace one field."""

    architecture: Architecture
    axes: dict[str, Axis] = {}
    budget: Budget = Budget()


class Search(Strict):
    """Which candidates are trained.

    Attributes:
        trials: trainings in all; a grid needs none, since it has its own number.
        seeds: trainings of each candidate, with seeds `seed`, `seed` + 1, …
        order: "eager" asks for a trial with all results that are there; "strict" with those of
            trials a fixed number before it, so that the table of trials is the same whatever
            ends first, and however often the study was killed.
    """

    sampler: Literal["grid", "random", "stratified", "sobol", "tpe", "nsga2", "gp", "frontier"] = (
        "grid"
    )
    trials: Positive | None = None
    seeds: Positive = 1
    seed: Annotated[int, Field(ge=0)] = 0
    order: Literal["eager", "strict"] = "eager"


class Latency(Strict):
    """How the objective `latency_ms` is measured: the time of a forward pass, in milliseconds, at
    the end of each training, on the trial's own device and threads.

    Attributes:
        batch_size: images of a pass.
    """

    batch_size: Positive = 1


class Scheduler(Strict):
    """Which trials are trained to their end: all ("none"), or those that do best at rungs, of one
    objective ("asha") or of several ("mo_asha").

    Attributes:
        grace: epochs at the first rung; each further one comes after `eta` times as many.
        eta: of the trials that reach a rung, one in so many goes on.
        strata: parts of the space, by multiply-adds, within which trials compete.
    """

    name: Literal["none", "asha", "mo_asha"] = "none"
    grace: Positive = 1
    eta: Annotated[int, Field(ge=2)] = 3
    strata: Positive = 3


class Compute(Strict):
    """Where trials run: "local", or a Ray cluster ("auto" or host:port).

    Attributes:
        processes_per_trial: that share each batch of a trial; "auto" is one for each GPU.
        deterministic: only operations that give the same bits each time.
        concurrent: trials at a time; "auto" is as many as fit the machine, or the cluster as it
            is at the moment. A number is not doubted on a cluster, which may grow to it.
        checkpoint_every: time between checkpoints in the middle of an epoch.
        step_timeout: time without a finished step after which a worker counts as hanging.
        max_hours: hours after which running trials write a checkpoint and the run stops.
        callbacks: of Ray Tune, by their import paths: classes or functions, called without
            arguments.
    """

    address: Annotated[str, StringConstraints(pattern=r"^(local|auto|[^\s:]+:\d+)$")] = "local"
    concurrent: Positive | Literal["auto"] = "auto"
    cpus_per_trial: Positive = 1
    gpus_per_trial: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    processes_per_trial: Positive | Literal["auto"] = "auto"
    deterministic: bool = True
    checkpoint_every: Duration = "10min"
    step_timeout: Duration = "30min"
    max_hours: Annotated[float, Field(gt=0)] | None = None
    callbacks: list[ImportPath] = []

    @property
    def cpus(self) -> int:
        """CPUs of a trial: at least one for each process."""
        return max(self.cpus_per_trial, self.processes)

    @property
    def processes(self) -> int:
        """Processes that share each batch of a trial."""
        if self.processes_per_trial != "auto":
            return self.processes_per_trial
        return 1 if self.gpus_per_trial == "auto" else max(int(self.gpus_per_trial), 1)


class Storage(Strict):
    """Where a study is kept. Null is a SQLite file, and a folder, under runs/<study>/.

    Attributes:
        url: of a PostgreSQL database, for the ledger.
        trials: a folder, or the URL of one in an object store (s3://bucket/folder).
        quota: of the disk that checkpoints of ended trials may take; beyond it those of trials
            off the Pareto front go first.
    """

    url: Annotated[str, StringConstraints(pattern=r"^postgresql://\S+$")] | None = None
    trials: str | None = None
    quota: Size = "20GB"


class Reference(Strict):
    """The worst corner of the hypervolume. `params` is a number or the budget's maximum."""

    accuracy: Annotated[float, Field(ge=0, lt=1)] | None = None
    params: Positive | Literal["budget"] = "budget"


class Report(Strict):
    """What the report is held against. The reference's accuracy is chance where not given. With
    `reference`, published models stand beside the study's own, where they were trained alike."""

    hypervolume_reference: Reference = Reference()
    reference: Literal["sret_imagenet"] | None = None


class Rates(Strict):
    """Learning rates that every arm tries, each twice the one before.

    Attributes:
        grid: at least four. Where an arm's best is at an end, the grid goes on at that end.
        seeds: trainings of each arm at each rate, with seeds that nothing else is trained with.
    """

    grid: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=4)]
    seeds: Positive = 1


class Arms(Strict):
    """The axis whose values are compared, declared before training, and the value that the
    others are held against. Its test accuracies may be shown. With `lr`, each arm is trained at
    the learning rate that is best for it on the validation part."""

    axis: str
    reference: Any
    lr: Rates | None = None


class Contrast(Strict):
    """Two values of an axis that are compared, declared before training, over all candidates that
    differ in nothing else. Test accuracies of these candidates may be shown.

    Attributes:
        of, against: the value, and the one that it is held against.
        within: other axes, and the value, or a list of the values, that the candidates have there.
    """

    axis: str
    of: Any
    against: Any
    within: dict[str, Any] = {}


Control = Literal["unshared", "shallow", "iso_params", "iso_macs", "iso_train_macs", "rerun"]


class Confirm(Strict):
    """The front's members are trained again, and the front is decided again from those
    trainings alone.

    Attributes:
        seeds: fresh ones, of each member.
        on: the part that they are trained on; of "train+val", the test part decides.
    """

    seeds: Annotated[int, Field(ge=2)] = 5
    on: Literal["train", "train+val"] = "train"


class Branch(Strict):
    """Another training that begins where a trial ended, with its weights, averages and optimizer
    state, and with this recipe from its first step on. It is a trial of its own."""

    trial: Annotated[int, Field(ge=0)]
    recipe: Recipe


class StudyFile(Strict):
    """A study: the question, and everything that its answer depends on. With `monitor`, each
    trial records after each epoch what each execution does; with `tensorboard`, it writes its
    metrics as event files. With `test_curve`, it reads the test part after each epoch too, not
    only once: for benchmarks of samplers, which score by it what was chosen without it; no report
    shows it, and nothing is chosen by it."""

    study: Name
    space: str
    data: Data = Data()
    recipe: Recipe = Recipe()
    objectives: Annotated[dict[Objective, Literal["max", "min"]], Field(min_length=1)] = {
        "accuracy": "max",
        "params": "min",
    }
    latency: Latency = Latency()
    search: Search = Search()
    arms: Arms | None = None
    branches: list[Branch] = []
    contrasts: list[Contrast] = []
    controls: list[Control] = []
    confirm: Confirm | None = None
    scheduler: Scheduler = Scheduler()
    compute: Compute = Compute()
    storage: Storage = Storage()
    report: Report = Report()
    monitor: bool = False
    test_curve: bool = False
    tensorboard: bool = False
