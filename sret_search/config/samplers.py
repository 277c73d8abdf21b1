"""Table of the samplers by name: import path, and the trials from which a sampler learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sret_search.errors import nearest, require
from sret_search.importing import require_import_path


@dataclass(frozen=True)
class SamplerEntry:
    """A sampler that a study file may name.

    Attributes:
        path: import path of the class, in this package or in Optuna.
        options: keyword arguments for a class of Optuna.
        startup: number of candidates with a known result before a model chooses. None: no model
            chooses, or the class has its own number.
        learns_from: "complete" learns from complete trials, "all" also from trials that a
            scheduler stopped.
        exhaustive: whether it trains every candidate. The space then gives the number of trials.
        predictive: whether it predicts one objective, knows the costs exactly and computes a
            predicted front.
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
"""Keys that replace the sampler names of earlier versions."""


def entry(name: str) -> SamplerEntry:
    """The sampler with a name, or at an import path."""
    return SAMPLERS.get(name) or SamplerEntry(name)


def check_sampler(name: str) -> str:
    """Check that this is the name of a sampler or an import path, and return it.

    Raises:
        ValueError: no sampler has this name, and it is no import path. The message has names that
            can be written.
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
    """The `search` of a study in a ledger, with samplers of earlier versions as they are written
    now."""
    return {**search, **RENAMED.get(search["sampler"], {})}
