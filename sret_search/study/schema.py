"""The two files, as types: every key that a study or a space may have."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from sret_search.architecture import Architecture, ArchitectureError
from sret_search.errors import nearest
from sret_search.job import Data, Recipe
from sret_search.study.document import Document, Path
from sret_search.study.errors import Problem, StudyError

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Positive = Annotated[int, Field(ge=1)]
Duration = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(s|min|h)$")]
Size = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(MB|GB|TB)$")]
Objective = Literal["accuracy", "loss", "params", "macs"]


class Strict(BaseModel):
    """No unknown keys, no conversions between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Axis(Strict):
    """Values for one field: `choices`, or the numbers from `low` to `high`.

    `when` names other axes and the values under which this axis counts; elsewhere the field
    keeps the value of the space's architecture.
    """

    choices: Annotated[list[Any], Field(min_length=1)] | None = None
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    when: dict[str, list[Any]] = {}


class Limit(Strict):
    """Bounds, both included."""

    min: float | int | None = None
    max: float | int | None = None


class Budget(Strict):
    """What a candidate may cost; the others are dropped before training."""

    params: Limit = Limit()
    macs: Limit = Limit()
    executions: Limit = Limit()


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

    sampler: Literal["grid", "random", "tpe", "nsga2"] = "grid"
    trials: Positive | None = None
    seeds: Positive = 1
    seed: Annotated[int, Field(ge=0)] = 0
    order: Literal["eager", "strict"] = "eager"


class Scheduler(Strict):
    """Every trial is trained to its end."""

    name: Literal["none"] = "none"


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
    """What the report is held against. The reference's accuracy is chance where not given."""

    hypervolume_reference: Reference = Reference()


class Arms(Strict):
    """The axis whose values are compared, declared before training, and the value that the
    others are held against. Its test accuracies may be shown."""

    axis: str
    reference: Any


class Branch(Strict):
    """Another training that begins where a trial ended, with its weights, averages and optimizer
    state, and with this recipe from its first step on. It is a trial of its own."""

    trial: Annotated[int, Field(ge=0)]
    recipe: Recipe


class StudyFile(Strict):
    """A study: the question, and everything that its answer depends on. With `monitor`, each
    trial records after each epoch what each execution does; with `tensorboard`, it writes its
    metrics as event files."""

    study: Name
    space: str
    data: Data = Data()
    recipe: Recipe = Recipe()
    objectives: Annotated[dict[Objective, Literal["max", "min"]], Field(min_length=1)] = {
        "accuracy": "max",
        "params": "min",
    }
    search: Search = Search()
    arms: Arms | None = None
    branches: list[Branch] = []
    controls: list[Literal["rerun"]] = []
    scheduler: Scheduler = Scheduler()
    compute: Compute = Compute()
    storage: Storage = Storage()
    report: Report = Report()
    monitor: bool = False
    tensorboard: bool = False


Model = TypeVar("Model", StudyFile, SpaceFile, Architecture)


def check(model: type[Model], document: Document) -> Model:
    """The document as a model.

    Raises:
        StudyError: everything that does not fit, each with its line and column.
    """
    try:
        return TypeAdapter(model).validate_json(json.dumps(document.data))
    except ValidationError as error:
        problems: dict[tuple[int | None, int | None], Problem] = {}
        for detail in error.errors():
            problem = _problem(model, document, dict(detail))
            problems.setdefault((problem.line, problem.column), problem)
        raise StudyError(sorted(problems.values(), key=lambda p: (p.line, p.column))) from None


_MESSAGES = {
    "missing": "{key} is needed",
    "missing_argument": "{key} is needed",
    "too_short": "at least one value is needed",
    "int_type": "a whole number is needed, but got {input}",
    "float_type": "a number is needed, but got {input}",
    "string_type": "a word is needed, but got {input}",
    "bool_type": "true or false is needed, but got {input}",
    "list_type": "a list is needed, but got {input}",
    "tuple_type": "a list is needed, but got {input}",
    "dict_type": "a mapping is needed, but got {input}",
    "model_type": "a mapping is needed, but got {input}",
    "dataclass_type": "a mapping is needed, but got {input}",
    "model_attributes_type": "a mapping is needed, but got {input}",
    "none_required": "only null is possible here, but got {input}",
    "literal_error": "{expected} is needed, but got {input}",
    "greater_than_equal": "at least {ge} is needed, but got {input}",
    "string_pattern_mismatch": "{input} is not of the form {pattern}",
}


def _problem(model: type[Any], document: Document, detail: dict[str, Any]) -> Problem:
    path: Path = tuple(part for part in detail["loc"] if part != "[key]")
    kind, key, context = detail["type"], str(path[-1]) if path else "", detail.get("ctx", {})
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        message = f"unknown key {key}; {nearest(key, _names(model, path[:-1]))}"
        return document.problem(path, message, at_key=True)
    if "[key]" in detail["loc"]:
        return document.problem(
            path, f"unknown {path[-2]} {key!r}; {context['expected']} is needed", at_key=True
        )
    cause = context.get("error")
    if isinstance(cause, ArchitectureError):
        return document.problem((*path, *cause.path), str(cause))
    if isinstance(cause, ValueError):
        return document.problem(path, str(cause))
    values = {"key": key, "input": _written(detail["input"])} | context
    message = _MESSAGES[kind].format(**values) if kind in _MESSAGES else detail["msg"]
    return document.problem(path, message)


def _written(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _names(model: Any, path: Path) -> list[str]:
    """The names of the fields that a mapping at this path may have."""
    for part in path:
        if isinstance(part, str) and part in _fields(model):
            model = _fields(model)[part]
        for inner in typing.get_args(model):
            if _fields(inner):
                model = inner
    return list(_fields(model))


def _fields(model: Any) -> dict[str, Any]:
    if isinstance(model, types.UnionType | types.GenericAlias) or not isinstance(model, type):
        return {}
    if dataclasses.is_dataclass(model) or issubclass(model, BaseModel):
        return typing.get_type_hints(model)
    return {}


def seconds(duration: str) -> float:
    """A duration such as 10min."""
    unit = next(unit for unit in ("min", "s", "h") if duration.endswith(unit))
    return float(duration.removesuffix(unit)) * {"s": 1, "min": 60, "h": 3600}[unit]


def size(text: str) -> int:
    """Bytes of a size such as 20GB."""
    return round(float(text[:-2]) * {"MB": 10**6, "GB": 10**9, "TB": 10**12}[text[-2:]])


def field_type(path: str) -> Any:
    """The type of the field that an axis path such as stages.0.width addresses; None if none."""
    kind: Any = Architecture
    parts = path.split(".")
    if parts[0] == "recipe":
        kind, parts = Recipe, parts[1:]
    for part in parts:
        if part.isdecimal() or part == "*":
            arguments = typing.get_args(kind)
            kind = arguments[0] if typing.get_origin(kind) is tuple else None
        else:
            kind = _fields(kind).get(part)
        if kind is None:
            return None
    return kind


def field_paths(kind: Any = Architecture, prefix: str = "") -> list[str]:
    """Every axis path, with * for a stage."""
    paths = []
    for name, inner in _fields(kind).items():
        here = f"{prefix}{name}"
        paths.append(here)
        if typing.get_origin(inner) is tuple and _fields(typing.get_args(inner)[0]):
            paths += field_paths(typing.get_args(inner)[0], f"{here}.*.")
        elif _fields(inner):
            paths += field_paths(inner, f"{here}.")
    return paths
