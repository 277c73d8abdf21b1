"""Types of a study file: every key that it may have."""

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
from sret_search.config.base import Count, Duration, Gpus, Positive, Size, Strict
from sret_search.config.controls import CONTROLS, check_control
from sret_search.errors import require
from sret_search.job import Data, Recipe

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
    "accuracy", "loss", "params", "macs", "train_macs", "memory", "bytes", "bytes_bf16",
    "bytes_int8", "latency_ms",
]  # fmt: skip


class Search(Strict):
    """Choice of the candidates that are trained.

    Attributes:
        sampler: name of a sampler, or import path of a sampler of Optuna, such as
            "optuna.samplers:NSGAIISampler".
        options: keyword arguments of a sampler with an import path.
        trials: number of trainings. For a grid the space gives it.
        seeds: number of trainings of each candidate, with seeds `seed`, `seed` + 1, …
        seed: first seed of the trainings, and seed of the sampler.
        order: "eager" chooses a trial with all results so far. "strict" uses the results of
            trials that are a fixed number earlier. The table of trials then depends neither on
            the order in which trials end nor on interruptions.
    """

    sampler: Sampler = "grid"
    options: dict[str, Any] | None = None
    trials: Count | None = None
    seeds: Count = 1
    seed: Annotated[int, Field(ge=0)] = 0
    order: Literal["eager", "strict"] = "eager"

    @model_validator(mode="after")
    def _check_options(self) -> Search:
        """Check the rules of `options`.

        Raises:
            ValueError: a rule is broken.
        """
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
        """Entry of the sampler in the table of samplers."""
        return samplers.entry(self.sampler)


class Latency(Strict):
    """Measurement of the objective `latency_ms`: the time of a forward pass in milliseconds, at the
    end of each training, on the device and threads of the trial.

    Attributes:
        batch_size: images of a forward pass.
    """

    batch_size: Positive = 1


class Scheduler(Strict):
    """Choice of the trials that are trained to their end.

    Attributes:
        name: "none" trains all trials. "asha" stops trials at rungs by one objective, "mo_asha"
            by several.
        grace: epochs at the first rung. Each further rung is at `eta` times as many epochs.
        eta: one in `eta` trials that reach a rung continues.
        strata: number of parts of the space, by multiply-adds. Trials compete within a part.
    """

    name: Literal["none", "asha", "mo_asha"] = "none"
    grace: Positive = 1
    eta: Annotated[int, Field(ge=2)] = 3
    strata: Positive = 3


class Compute(Strict):
    """Machines and resources of trials.

    Attributes:
        address: "local", or a Ray cluster: host:port, or "auto" on a machine of the cluster.
        cpus_per_trial: threads of a trial, over all of its processes.
        gpus_per_trial: a fraction of a GPU, or a number of GPUs. "auto": as many as a trial can
            use.
        processes_per_trial: processes that share each batch. "auto": a process for each GPU.
        deterministic: use only operations that give the same bits each time.
        concurrent: number of trials that run at a time. "auto": as many as the machine or the
            cluster can run now. On a cluster any number is accepted, since the cluster may grow.
        checkpoint_every: time between checkpoints in the middle of an epoch.
        step_timeout: time without a finished step after which a worker counts as hung.
        max_hours: hours after which running trials write a checkpoint and the run stops.
        callbacks: import paths of Ray Tune callbacks: classes or functions, called without
            arguments.
    """

    address: Annotated[str, StringConstraints(pattern=r"^(local|auto|[^\s:]+:\d+)$")] = "local"
    concurrent: Positive | Literal["auto"] = "auto"
    cpus_per_trial: Positive = 1
    gpus_per_trial: Gpus | Literal["auto"] = "auto"
    processes_per_trial: Positive | Literal["auto"] = "auto"
    deterministic: bool = True
    checkpoint_every: Duration = "10min"
    step_timeout: Duration = "30min"
    max_hours: Annotated[float, Field(gt=0)] | None = None
    callbacks: list[ImportPath] = []

    @model_validator(mode="after")
    def _check_processes(self) -> Compute:
        """Check that each process has a GPU if a trial has any.

        Raises:
            ValueError: there are too few GPUs.
        """
        gpus, processes = self.gpus_per_trial, self.processes
        if gpus != "auto" and gpus > 0 and processes > 1:
            require(
                processes <= gpus,
                f"each of {processes} processes (`processes_per_trial`) needs a GPU of its own, but"
                f" `gpus_per_trial` is {gpus:g}",
            )
        return self

    @property
    def cpus(self) -> int:
        """Number of CPUs of a trial: at least one for each process."""
        return max(self.cpus_per_trial, self.processes)

    @property
    def processes(self) -> int:
        """Number of processes that share each batch of a trial."""
        if self.processes_per_trial != "auto":
            return self.processes_per_trial
        return 1 if self.gpus_per_trial == "auto" else max(int(self.gpus_per_trial), 1)


class Storage(Strict):
    """Places where a study is kept. The default is a SQLite file and a folder in runs/<study>/.

    Attributes:
        url: URL of a PostgreSQL database for the ledger.
        trials: a folder, or the URL of a folder in an object store (s3://bucket/folder).
        quota: disk space for checkpoints of ended trials. Beyond it, checkpoints of trials off
            the Pareto front are deleted first.
    """

    url: Annotated[str, StringConstraints(pattern=r"^postgresql://\S+$")] | None = None
    trials: str | None = None
    quota: Size = "20GB"


class Reference(Strict):
    """Reference point of the hypervolume, its worst corner.

    Attributes:
        accuracy: a fraction. The default is the accuracy of random guesses.
        params: a number of parameters, or the maximum of the budget.
    """

    accuracy: Annotated[float, Field(ge=0, lt=1)] | None = None
    params: Positive | Literal["budget"] = "budget"


class Report(Strict):
    """References of the report.

    Attributes:
        hypervolume_reference: the reference point of the hypervolume.
        reference: published models. The report shows them beside the models of the study if all
            were trained in the same way.
    """

    hypervolume_reference: Reference = Reference()
    reference: Literal["sret_imagenet"] | None = None


class Rates(Strict):
    """Learning rates that every arm tries, each twice the previous rate.

    Attributes:
        grid: at least four rates. If an arm's best rate is at an end, the grid is extended there.
        seeds: number of trainings of each arm at each rate. Their seeds are used for no other
            training.
    """

    grid: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=4)]
    seeds: Count = 1


class Arms(Strict):
    """Comparison of the values of an axis. It is declared before training, so the report may show
    test accuracies.

    Attributes:
        axis: path of the axis.
        reference: the value with which the other values are compared.
        lr: train each arm at the learning rate of this grid that is best for it on the
            validation part.
    """

    axis: str
    reference: Any
    lr: Rates | None = None


class Contrast(Strict):
    """Comparison of two values of an axis, over all candidates that differ in nothing else. It is
    declared before training, so the report may show test accuracies of these candidates.

    Attributes:
        axis: path of the axis.
        of, against: a value, and the value with which it is compared.
        within: other axes, each with the value, or a list of values, that the candidates have.
    """

    axis: str
    of: Any
    against: Any
    within: dict[str, Any] = {}


Control = Annotated[
    str, AfterValidator(check_control), WithJsonSchema({"enum": list(CONTROLS), "type": "string"})
]


class Confirm(Strict):
    """Confirmation: the members of the front are trained again, with fresh seeds.

    Attributes:
        seeds: number of fresh seeds for each member.
        on: the part on which they are trained. With "train", the new trainings alone decide the
            front again. With "train+val", the front does not change.
    """

    seeds: Annotated[int, Field(ge=2, le=1_000_000)] = 5
    on: Literal["train", "train+val"] = "train"


class Branch(Strict):
    """A new trial that continues another trial from its end, with its weights, averages and
    optimizer state.

    Attributes:
        trial: number of the trial to continue.
        recipe: the recipe of the new trial.
    """

    trial: Annotated[int, Field(ge=0)]
    recipe: Recipe


class StudyFile(Strict):
    """A study: a question, and everything on which its answer depends.

    Attributes:
        study: name of the study, and of its folders in runs/ and reports/.
        space: path of the space file, relative to this file.
        data: the data set and its split.
        recipe: training settings of each candidate, or the name of a recipe.
        objectives: quantities to maximise or minimise: accuracy or loss, and costs.
        latency: measurement of the objective latency_ms.
        search: choice of the candidates that are trained.
        arms: the values of one axis that are compared.
        branches: trials that continue other trials.
        contrasts: pairs of values that are compared.
        controls: comparisons for each candidate: twins without recursion, or reruns of its
            weights at other depths.
        rerun: depths at which the control "rerun" evaluates weights. With "reference", the
            reference's weights run at every depth, and all others' at the depth of the reference.
            With "all", the weights of every arm run at every depth.
        confirm: train the front again with fresh seeds.
        scheduler: choice of the trials that are trained to their end.
        compute: machines and resources of trials.
        storage: places where the study is kept.
        report: references of the report.
        monitor: each trial records after each epoch how much each execution changes its tokens, in
            which direction, its share in the gradient, and the accuracy of the head read after
            each loop. The report draws it.
        test_curve: each trial evaluates the test part after each epoch, not only at the end. Only
            benchmarks of samplers use this curve. No report shows it, and it decides nothing.
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
    rerun: Literal["reference", "all"] = "reference"
    confirm: Confirm | None = None
    scheduler: Scheduler = Scheduler()
    compute: Compute = Compute()
    storage: Storage = Storage()
    report: Report = Report()
    monitor: bool = False
    test_curve: bool = False
    tensorboard: bool = False
