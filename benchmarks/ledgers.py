"""Made-up ledgers in memory: whole studies whose trials trained nothing, without files or databases."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numpy as np

from sret_search.reporting.render import page
from sret_search.reporting.results import Results
from sret_search.search import controls as beside
from sret_search.search import phases
from sret_search.search.samplers.base import Ask
from sret_search.space import twins
from sret_search.space.candidate import Candidate
from sret_search.study import Study, load_study
from sret_search.study.description import StudyDescription
from sret_search.trials import compatibility
from sret_search.trials.declarations import Declaration
from sret_search.trials.history import History
from sret_search.trials.predictions import Known
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

ENVIRONMENT = {"torch": "2.13", "python": "3.12", "cpu": "made up", "threads": "1"}

Ends = Callable[[TrialRecord], dict[str, Any]]
"""The result of a trial, which says its state too."""
Right = Mapping[int, Mapping[str, np.ndarray]]
"""By trial, which images each of its networks classified right, as `Known` has them."""


@dataclass(frozen=True)
class Described:
    """A study with what its ledger would say of it."""

    study: Study
    description: StudyDescription

    @classmethod
    def of(cls, space: str, study: str) -> Described:
        """The study of two texts."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "space.yaml").write_text(space, encoding="utf-8")
            Path(folder, "study.yaml").write_text(study, encoding="utf-8")
            loaded = load_study(Path(folder, "study.yaml"))
            plain = json.loads(json.dumps(compatibility.describe(loaded).to_json()))
        return cls(loaded, StudyDescription.from_json(plain))

    def run(
        self,
        ends: Ends,
        most: int = 100_000,
        entries: Iterable[TrialRecord] = (),
        declared: int = 0,
    ) -> list[TrialRecord]:
        """Every trial that the study's phases ask for, each ended as is made up for it.

        Args:
            most: trials in all.
            entries: of earlier runs.
            declared: the place of this study among the declarations of its ledger.
        """
        study = self.study
        asker, history = phases.build(study), History(study, entries)
        images, val_images, _ = study.sizes
        while len(history) < most and isinstance(ask := asker.ask(history), Ask):
            seed, compared = study.file.search.seed + ask.seed, ask.role == "search"
            job = replace(study.job(ask.candidate, seed, "cpu", compared=compared), whole=ask.whole)
            entry = TrialRecord.begun(
                len(history), job, ask.candidate.values, images + val_images * ask.whole,
                study.origin, ask.role, ask.about, declared,
            )  # fmt: skip
            history.begin(entry)
            outcome = ends(entry)
            if outcome.state != "running":
                history.end(ended(entry, outcome))
        return history.entries

    def results(
        self,
        entries: list[TrialRecord],
        right: Right | None = None,
        declarations: list[Declaration] | None = None,
    ) -> Results:
        """The results of a ledger of these trials.

        Args:
            declarations: this study alone, before any trial, where nothing else is given.
        """
        own = [Declaration(self.description, "", 0, 0)]
        return Results(
            study=self.study,
            description=self.description,
            entries=entries,
            outcomes=Known(right or {}),
            attempts={},
            only_retrainable=[],
            declarations=own if declarations is None else declarations,
        )


def share_work() -> None:
    """Pages share what is the same on each: the twins of a candidate, and the page's templates."""
    known: dict[tuple[str, str, int], list[twins.Twin]] = {}
    found = getattr(twins.twins, "__wrapped__", twins.twins)

    @wraps(found)
    def shared(controls: Sequence[Any], candidate: Candidate, images: int) -> list[twins.Twin]:
        key = repr(controls), candidate.name, images
        if key not in known:
            known[key] = list(found(controls, candidate, images))
        return known[key]

    beside.twins = shared
    page._environment = cache(getattr(page._environment, "__wrapped__", page._environment))


def ended(entry: TrialRecord, result: TrialResult) -> TrialRecord:
    """The same trial with its result; its job, once parsed, is not parsed again."""
    found = replace(entry, result=result)
    if "job" in vars(entry):
        vars(found)["job"] = entry.job
    return found


def complete(val: float, test: float, loss: float | None = None, **others: Any) -> TrialResult:
    """The result of a trial that was trained to its end; its loss is 1 - `val` unless given."""
    known: dict[str, Any] = {"epochs": 4, "seconds": 2.0, "environment": ENVIRONMENT} | others
    val_loss = 1 - val if loss is None else loss
    return TrialResult("complete", val_accuracy=val, val_loss=val_loss, test_accuracy=test, **known)
