"""Importances of axes: the axes in which the best candidates differ from all others (PED-ANOVA).

The method is by Watanabe, Bansal and Hutter (2023), with conditional axes as Optuna has them. The
importance of an axis is the Pearson divergence between the distribution of its values among the
best candidates and among all. It measures how much this axis alone decides whether a candidate is
among the best.

An axis stands out if it exceeds what chance gives to any axis. Accuracies are shuffled among the
candidates. Each shuffle counts with the axis that is highest relative to its mean (the maxT of
Westfall and Young, 1993, Resampling-Based Multiple Testing). If no axis matters, the true order is
one of 21 equally likely orders. So it is above all shuffles, on any axis, in 1 study of 21.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import asdict, dataclass
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
from optuna.trial import create_trial

from sret_search.reporting.analyses.base import Analysis, drawn
from sret_search.reporting.analyses.candidates import spaced
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, rows
from sret_search.reporting.render.colours import BLUE, ORANGE
from sret_search.reporting.results import Results

LEAST = 10
"""The fewest candidates for which importances are computed."""
BEST = 0.25
"""The share of the candidates that counts as the best. A tenth of few candidates would be one or
two."""
_MOST = 500
_SHUFFLES = 20
LEVEL = 1 / (_SHUFFLES + 1)
"""The probability that any axis stands out if none matters."""
_CHOICES = 8
_ROWS = 20
"""The largest number of axes that are drawn."""


@dataclass(frozen=True)
class Importance:
    """The importance of an axis.

    Attributes:
        share: share of the sum of all importances.
        by_chance: the share that this axis must exceed to stand out.
    """

    axis: str
    share: float
    by_chance: float

    @property
    def stands_out(self) -> bool:
        """Whether the importance exceeds what chance gives."""
        return self.share > self.by_chance


@dataclass(frozen=True)
class Importances:
    """The importances of all axes that vary, in descending order. Axes that always vary together
    count as a single axis.

    Attributes:
        candidates: number of candidates of the study, without those of which a seed diverged or
            failed.
        looked_at: number of candidates that were evaluated, an even selection. Importances are
            computed from their means over seeds.
    """

    axes: list[Importance]
    candidates: int
    looked_at: int

    @property
    def standing_out(self) -> int:
        """The number of axes that stand out."""
        return sum(axis.stands_out for axis in self.axes)

    @property
    def facts(self) -> dict[str, Any]:
        """The entries for `summary.json`. `level` is the probability that any axis stands out if
        none matters."""
        stand_out = {"standing_out": self.standing_out, "level": LEVEL}
        axes = [asdict(axis) | {"stands_out": axis.stands_out} for axis in self.axes]
        return asdict(self) | stand_out | {"axes": axes}


def axis_importances(results: Results) -> Importances | None:
    """The importances for validation accuracy. None with fewer than ten candidates, or fewer than
    two axes that vary."""
    table = results.sound.iloc[spaced(len(results.sound), _MOST)]
    varied = _different(table, list(results.study.space.axes))
    if len(table) < LEAST or len(varied) < 2:
        return None
    space = {name: _distribution(table[name]) for name in varied}
    study = _study(table, space)
    accuracies = table.val_accuracy.to_numpy(float)
    importances = _evaluate(study, accuracies)
    total = sum(importances.values())
    if total == 0:
        return None
    rng = np.random.default_rng(0)
    deals = [
        importances,
        *(_evaluate(study, rng.permutation(accuracies)) for _ in range(_SHUFFLES)),
    ]
    usual = {name: float(np.mean([deal[name] for deal in deals])) for name in importances}
    highest = max(
        deal[name] / usual[name] for deal in deals[1:] for name in importances if usual[name] > 0
    )
    axes = [
        Importance(
            axis=words,
            share=importances[name] / total,
            by_chance=highest * usual[name] / total,
        )
        for name, words in varied.items()
    ]
    axes.sort(key=lambda axis: -axis.share)
    return Importances(axes, len(results.sound), len(table))


def _different(table: pd.DataFrame, axes: list[str]) -> dict[str, str]:
    """The axes that vary, each with its name and the names of the axes that vary with it."""
    first_with_codes: dict[bytes, str] = {}
    names: dict[str, str] = {}
    for axis in axes:
        codes, values = pd.factorize(table[axis].astype(object).map(str))
        if len(values) < 2:
            continue
        representative = first_with_codes.setdefault(codes.tobytes(), axis)
        names[representative] = (
            axis if representative == axis else f"{names[representative]}, {axis}"
        )
    return names


def _study(table: pd.DataFrame, space: dict[str, BaseDistribution]) -> optuna.Study:
    """The candidates as trials of Optuna, each with the axes that have a value."""
    study = optuna.create_study(direction="maximize")
    for row in table[[*space, "val_accuracy"]].astype(object).to_dict("records"):
        params = {
            name: _plain(row[name], kind) for name, kind in space.items() if not pd.isna(row[name])
        }
        distributions = {name: space[name] for name in params}
        value = float(row["val_accuracy"])
        study.add_trial(create_trial(params=params, distributions=distributions, value=value))
    return study


def _evaluate(study: optuna.Study, accuracies: np.ndarray) -> dict[str, float]:
    """The importance of each axis for these accuracies, which are in the order of the trials."""
    evaluator_of = _ped_anova()
    with warnings.catch_warnings():
        # Optuna warns of a target that it takes as minimised, and of few trials. The chart says both.
        warnings.simplefilter("ignore")
        evaluator = evaluator_of(target_quantile=BEST)
        importances = evaluator.evaluate(
            study, target=lambda trial: -float(accuracies[trial.number])
        )
    return {name: float(value) for name, value in importances.items()}


def _ped_anova() -> Any:
    """Optuna's evaluator, imported without scikit-learn. Optuna's package loads scikit-learn for
    another evaluator, which takes a second and 50 MB, but works without it."""
    hidden = "sklearn" not in sys.modules
    if hidden:
        sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        from optuna.importance import PedAnovaImportanceEvaluator
    finally:
        if hidden:
            del sys.modules["sklearn"]
    return PedAnovaImportanceEvaluator


def _distribution(column: pd.Series) -> BaseDistribution:
    """The distribution of an axis for Optuna: numeric if it has many numbers as values, else
    categorical."""
    different = set(column.dropna().astype(object))
    if not all(_is_number(value) for value in different) or len(different) <= _CHOICES:
        return CategoricalDistribution(sorted(map(str, different)))
    low, high = min(different), max(different)
    log = bool(low > 0 and high >= 10 * low)
    if all(float(value).is_integer() for value in different):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _plain(value: Any, kind: BaseDistribution) -> Any:
    if isinstance(kind, CategoricalDistribution):
        return str(value)
    return int(value) if isinstance(kind, IntDistribution) else float(value)


def analyse(results: Results) -> Analysis:
    """The importances of the axes."""
    importances = results.once(axis_importances)
    return Analysis(
        charts=drawn(chart(importances)),
        facts={"importances": None if importances is None else importances.facts},
    )


def chart(importances: Importances | None) -> Chart | None:
    """The share of each axis, with the share that chance gives it. None without importances."""
    if importances is None:
        return None
    axes = importances.axes[:_ROWS]
    places = np.arange(len(axes), dtype=float)
    shares = [100 * axis.share for axis in axes]
    chance = [100 * axis.by_chance for axis in axes]
    looked_at = f"{importances.looked_at:,}"
    if importances.looked_at < importances.candidates:
        looked_at += f" of {importances.candidates:,}"
    selection = (
        f" (the largest {len(axes)} of {len(importances.axes)})"
        if len(axes) < len(importances.axes)
        else ""
    )
    return Chart(
        name="importances",
        title=f"Importance of each axis{selection}",
        caption="How much the values of an axis among the most accurate"
        f" {100 * BEST:g} % of {looked_at} candidates differ from those among all"
        " (PED-ANOVA, as a share of the sum over axes; means over seeds). Each axis is taken alone,"
        " with the values that were tried. The direction of its effect is not shown."
        f" {importances.standing_out} of {len(importances.axes)} axes reach beyond their marks. If"
        f" accuracies are shuffled among candidates, any axis does so in 1 study of {1 / LEVEL:.0f}. The"
        " other axes may be chance.",
        panels=(
            Panel(
                x=Axis("share of importance in %"),
                y=rows([axis.axis for axis in axes]),
                series=(
                    Series(
                        "importance", "bars", shares, places, colour=BLUE,
                        hover=[f"{axis.axis}\n{share:.1f} %\nby chance up to {limit:.1f} %"
                               for axis, share, limit in zip(axes, shares, chance, strict=True)],
                    ),
                    Series(
                        "by chance up to", "points", chance, places, colour=ORANGE, marker="diamond",
                        hover=[f"{axis.axis}\nby chance up to {limit:.1f} %"
                               for axis, limit in zip(axes, chance, strict=True)],
                    ),
                ),
            ),
        ),
        height=1.8 + 0.36 * len(axes),
    )  # fmt: skip
