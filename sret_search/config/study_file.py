"""A study file, as types: every key that it may have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from sret_search.config import samplers
from sret_search.config.base import Count, Duration, Positive, Size, Strict
from sret_search.config.controls import CONTROLS, check_control
from sret_search.job import Data, Recipe
from sret_search.job.require import require

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
ImportPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Sampler = Annotated[
    str,
    AfterValidator(samplers.check_sampler),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(samplers.SAMPLERS)},
                {"type": "string", "pattern": r"^[\w.]+:\w+$"},
            ]
        }
    ),
]
Objective = Literal[
    "accuracy", "loss", "params", "macs", "train_macs", "memory", "latency_ms"
]  # fmt: skip


class Search(Strict):
    """Which candidates are trained.

    Attributes:
        sampler: what asks for them: its name, or the import path of one of Optuna's,
            "optuna.samplers:NSGAIISampler".
        options: keyword arguments of a sampler at an import path.
        trials: trainings in all; a grid needs none, since it has its own number.
        seeds: trainings of each candidate, with seeds `seed`, `seed` + 1, …
        seed: the first of these, and that of whatever the sampler draws.
        order: "eager" asks for a trial with all results that are there; "strict" with those of
            trials a fixed number before it, so that the table of trials is the same whatever
            ends first, and however often the study was killed.
    """

    sampler: Sampler = "grid"
    options: dict[str, Any] | None = None
    trials: Count | None = None
    seeds: Count = 1
    seed: Annotated[int, Field(ge=0)] = 0
    order: Literal["eager", "strict"] = "eager"

    @model_validator(mode="after")
    def _check_options(self) -> Search:
        """The rules of `options`."""
        named = self.sampler in samplers.SAMPLERS
        require(
            self.options is None or not named,
            "`options` are those of a sampler at an import path, `sampler: package.module:Class`",
        )
        require(
            "seed" not in (self.options or {}),
            "the seed of a sampler is `search.seed`: leave `seed` out of `options`",
        )
        return self

    @property
    def entry(self) -> samplers.SamplerEntry:
        """What is known of its sampler."""
        return samplers.entry(self.sampler)


class Latency(Strict):
    """How the objective `latency_ms` is measured: the time of a forward pass, in milliseconds, at
    the end of each training, on the trial's own device and threads.

    Attributes:
        batch_size: images of a pass.
    """

    batch_size: Positive = 1


class Scheduler(Strict):
    """Which trials are trained to their end.

    Attributes:
        name: all ("none"), or those that do best at rungs, by one objective ("asha") or by several
            ("mo_asha").
        grace: epochs at the first rung; each further one comes after `eta` times as many.
        eta: of the trials that reach a rung, one in so many goes on.
        strata: parts of the space, by multiply-adds, within which trials compete.
    """

    name: Literal["none", "asha", "mo_asha"] = "none"
    grace: Positive = 1
    eta: Annotated[int, Field(ge=2)] = 3
    strata: Positive = 3


class Compute(Strict):
    """Where trials run.

    Attributes:
        address: "local", or that of a Ray cluster: host:port, or "auto" on one of its machines.
        cpus_per_trial: threads of a trial, over all of its processes.
        gpus_per_trial: a part of one, or several; "auto" is what a trial has a use for.
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
    """The worst corner of the hypervolume.

    Attributes:
        accuracy: as a fraction; chance where not given.
        params: a number, or the budget's maximum.
    """

    accuracy: Annotated[float, Field(ge=0, lt=1)] | None = None
    params: Positive | Literal["budget"] = "budget"


class Report(Strict):
    """What the report is held against.

    Attributes:
        hypervolume_reference: the worst corner of the hypervolume.
        reference: published models that stand beside the study's own, where they were trained
            alike.
    """

    hypervolume_reference: Reference = Reference()
    reference: Literal["sret_imagenet"] | None = None


class Rates(Strict):
    """Learning rates that every arm tries, each twice the one before.

    Attributes:
        grid: at least four. Where an arm's best is at an end, the grid goes on at that end.
        seeds: trainings of each arm at each rate, with seeds that nothing else is trained with.
    """

    grid: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=4)]
    seeds: Count = 1


class Arms(Strict):
    """Values of an axis that are compared, declared before training, so that their test accuracies
    may be shown.

    Attributes:
        axis: by its path.
        reference: the value that the others are held against.
        lr: train each arm at the one of these learning rates that is best for it on the
            validation part.
    """

    axis: str
    reference: Any
    lr: Rates | None = None


class Contrast(Strict):
    """Two values of an axis that are compared, declared before training, over all candidates that
    differ in nothing else. Test accuracies of these candidates may be shown.

    Attributes:
        axis: by its path.
        of, against: the value, and the one that it is held against.
        within: other axes, and the value, or a list of the values, that the candidates have there.
    """

    axis: str
    of: Any
    against: Any
    within: dict[str, Any] = {}


Control = Annotated[
    str, AfterValidator(check_control), WithJsonSchema({"enum": list(CONTROLS), "type": "string"})
]


class Confirm(Strict):
    """The front's members are trained again. On "train" the front is decided again from those
    trainings alone.

    Attributes:
        seeds: fresh ones, of each member.
        on: the part that they are trained on; of "train+val", nothing decides again.
    """

    seeds: Annotated[int, Field(ge=2, le=1_000_000)] = 5
    on: Literal["train", "train+val"] = "train"


class Branch(Strict):
    """Another training that begins where a trial ended, with its weights, averages and optimizer
    state. It is a trial of its own.

    Attributes:
        trial: the number of the one that it goes on from.
        recipe: from its first step on.
    """

    trial: Annotated[int, Field(ge=0)]
    recipe: Recipe


class StudyFile(Strict):
    """A study: the question, and everything that its answer depends on.

    Attributes:
        study: its name, and that of its folders in runs/ and reports/.
        space: the space file, by its path from this one.
        data: the data set, and how it is cut.
        recipe: how each candidate is trained; or the name of a recipe.
        objectives: what is to be large or small; one is accuracy or loss, the others are costs.
        latency: how the objective latency_ms is measured.
        search: which candidates are trained.
        arms: the values of one axis that are compared.
        branches: trainings that go on where trials ended.
        contrasts: pairs of values that are compared.
        controls: what stands beside each candidate: twins that recur nowhere, or reruns of its
            weights at other depths.
        confirm: train the front again with fresh seeds.
        scheduler: which trials are trained to their end.
        compute: where trials run.
        storage: where the study is kept.
        report: what the report is held against.
        monitor: each trial records after each epoch what each execution does.
        test_curve: each trial reads the test part after each epoch too, not only once: for
            benchmarks of samplers, which score by it what was chosen without it. No report shows
            it, and nothing is chosen by it.
        tensorboard: each trial writes its metrics as event files.
    """

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
