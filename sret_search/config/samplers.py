"""The samplers by name: where each stands, when it begins to learn, and from what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sret_search.errors import nearest
from sret_search.job.require import require, require_import_path


@dataclass(frozen=True)
class SamplerEntry:
    """A sampler as a study file may name it.

    Attributes:
        path: import path of its class, in this package or in Optuna.
        options: keyword arguments of a class of Optuna's.
        startup: candidates with a known result before a model chooses; None where no model does,
            or where the class says so itself.
        learns_from: the trials that came to their end, or those too that a scheduler stopped.
        exhaustive: whether it trains every candidate, and so has its own number of trials.
        predictive: whether it learns one objective, knows costs exactly, and has a front of its
            own.
    """

    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    startup: int | None = None
    learns_from: Literal["complete", "all"] = "complete"
    exhaustive: bool = False
    predictive: bool = False


_OURS = "sret_search.search.samplers"
_TPE = {"n_startup_trials": 10, "multivariate": True, "group": True}

SAMPLERS: Mapping[str, SamplerEntry] = {
    "grid": SamplerEntry(f"{_OURS}.grid:Grid", exhaustive=True),
    "random": SamplerEntry(f"{_OURS}.sequential:Random"),
    "stratified": SamplerEntry(f"{_OURS}.stratified:Stratified"),
    "sobol": SamplerEntry(f"{_OURS}.sobol:Sobol"),
    "tpe": SamplerEntry("optuna.samplers:TPESampler", _TPE),
    "gp": SamplerEntry(f"{_OURS}.optuna_gp:GP", startup=10),
    "frontier": SamplerEntry(
        f"{_OURS}.frontier.sampler:Frontier", startup=5, learns_from="all", predictive=True
    ),
}

RENAMED: Mapping[str, Mapping[str, Any]] = {
    "nsga2": {"sampler": "optuna.samplers:NSGAIISampler", "options": {"population_size": 16}},
}
"""What is written in the place of samplers that had a name in earlier programs."""


def entry(name: str) -> SamplerEntry:
    """The sampler of a name, or at an import path."""
    return SAMPLERS.get(name) or SamplerEntry(name)


def check_sampler(name: str) -> str:
    """The same name, if there is such a sampler or it is an import path.

    Raises:
        ValueError: it is neither; the message has what to write.
    """
    if name in RENAMED:
        keys = (f"{key}: {value}" for key, value in RENAMED[name].items())
        now = ", ".join(keys).replace("'", "")
        raise ValueError(f"the sampler {name} is named by its import path: write `{now}`")
    if ":" in name:
        require_import_path(name)
    require(
        name in SAMPLERS or ":" in name,
        f"unknown sampler {name!r}; {nearest(name, SAMPLERS)}"
        " (one of Optuna's is named by its import path, optuna.samplers:TPESampler)",
    )
    return name


def as_written_now(search: Mapping[str, Any]) -> dict[str, Any]:
    """The `search` of a study as a ledger describes it, with the samplers of earlier programs as
    they are written now."""
    return {**search, **RENAMED.get(search["sampler"], {})}
