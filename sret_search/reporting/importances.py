"""Which axes of a space the best candidates differ in from all others (PED-ANOVA).

Watanabe, Bansal and Hutter (2023), with conditional axes as Optuna has them: the Pearson
divergence between the distribution of an axis' values among the best and among all, a measure of
how much that axis alone decides whether a candidate is one of the best.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import create_trial

from sret_search.reporting.results import Results

LEAST = 10
"""Candidates; of fewer there is no saying."""
BEST = 0.25
"""The part of the candidates that counts as the best: a tenth of few would be one or two."""
_MOST = 2000
_SHUFFLES = 20
_CHOICES = 8


@dataclass(frozen=True)
class Importance:
    """One axis.

    Attributes:
        share: of the importance of all axes.
        by_chance: the share that this axis exceeds once in twenty times where accuracies are
            dealt to the candidates at random, on the same scale.
    """

    axis: str
    share: float
    by_chance: float

    @property
    def stands_out(self) -> bool:
        """Whether there is more than chance in it."""
        return self.share > self.by_chance


@dataclass(frozen=True)
class Importances:
    """Those of all axes that vary, the largest first, of so many candidates' means over seeds."""

    axes: list[Importance]
    candidates: int


def axis_importances(results: Results) -> Importances | None:
    """Of validation accuracy; None with fewer than ten candidates or two axes that vary."""
    table, names = results.candidates, list(results.description["axes"])
    if len(table) > _MOST:
        table = table.iloc[np.linspace(0, len(table) - 1, _MOST).astype(int)]
    varied = [name for name in names if table[name].astype(object).nunique(dropna=False) > 1]
    if len(table) < LEAST or len(varied) < 2:
        return None
    space = {name: _distribution(table[name]) for name in varied}
    rows = [
        {name: _plain(value, space[name]) for name, value in row.items() if not _missing(value)}
        for row in table[varied].astype(object).to_dict("records")
    ]
    accuracies = table.val_accuracy.to_numpy(float)
    found = _evaluate(rows, space, accuracies)
    total = sum(found.values())
    if total == 0:
        return None
    rng = np.random.default_rng(0)
    dealt = [_evaluate(rows, space, rng.permutation(accuracies)) for _ in range(_SHUFFLES)]
    chance = {name: float(np.quantile([one[name] for one in dealt], 0.95)) for name in varied}
    axes = [Importance(name, found[name] / total, chance[name] / total) for name in varied]
    return Importances(sorted(axes, key=lambda one: -one.share), len(results.candidates))


def _evaluate(
    rows: list[dict[str, Any]], space: dict[str, BaseDistribution], accuracies: np.ndarray
) -> dict[str, float]:
    study = optuna.create_study(direction="maximize")
    study.add_trials([
        create_trial(params=row, distributions={name: space[name] for name in row}, value=value)
        for row, value in zip(rows, accuracies.tolist(), strict=True)
    ])  # fmt: skip
    with warnings.catch_warnings():
        # Of few trials Optuna says that they are few, and so does the chart.
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", ExperimentalWarning)
        evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST)
        found = evaluator.evaluate(study, list(space))
    return {name: float(value) for name, value in found.items()}


def _distribution(column: pd.Series) -> BaseDistribution:
    """What the values of an axis say of it: numbers where there are many, choices otherwise."""
    values = [value for value in column.astype(object).tolist() if not _missing(value)]
    different = set(values)
    numbers = all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in different
    )
    if not numbers or len(different) <= _CHOICES:
        return CategoricalDistribution(sorted({_word(value) for value in different}))
    low, high = min(different), max(different)
    log = bool(low > 0 and high >= 10 * low)
    if all(float(value).is_integer() for value in different):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _plain(value: Any, kind: BaseDistribution) -> Any:
    if isinstance(kind, CategoricalDistribution):
        return _word(value)
    return int(value) if isinstance(kind, IntDistribution) else float(value)


def _word(value: Any) -> str:
    return str(value)


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value))
