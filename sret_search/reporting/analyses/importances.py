"""Which axes of a space the best candidates differ in from all others (PED-ANOVA).

Watanabe, Bansal and Hutter (2023), with conditional axes as Optuna has them: the Pearson
divergence between the distribution of an axis' values among the best and among all, a measure of
how much that axis alone decides whether a candidate is one of the best.

An axis stands out where chance would not let any axis: accuracies are dealt to the candidates at random,
and what counts of each deal is the axis that comes out highest above its own mean (the maxT of Westfall
and Young, 1993, Resampling-Based Multiple Testing). The truth is one of 21 deals that are equally likely
where nothing matters, so that it is above all others, on any axis, in 1 study of 21.
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
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, rows
from sret_search.reporting.render.colours import BLUE, ORANGE
from sret_search.reporting.results import Results

LEAST = 10
"""Candidates; of fewer there is no saying."""
BEST = 0.25
"""The part of the candidates that counts as the best: a tenth of few would be one or two."""
_MOST = 500
_SHUFFLES = 20
LEVEL = 1 / (_SHUFFLES + 1)
"""How often any axis stands out where none matters."""
_CHOICES = 8
_ROWS = 20
"""Axes that are drawn."""


@dataclass(frozen=True)
class Importance:
    """The importance of one axis.

    Attributes:
        share: of the importance of all axes.
        by_chance: the share that this axis must exceed to stand out, on the same scale.
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
    """The importances of all axes that vary, the largest first; axes that always vary together are
    one.

    Attributes:
        candidates: that the study has, without those of which a seed was lost.
        looked_at: an even part of them, of whose means over seeds these are.
    """

    axes: list[Importance]
    candidates: int
    looked_at: int

    @property
    def standing_out(self) -> int:
        """How many axes stand out."""
        return sum(one.stands_out for one in self.axes)

    @property
    def facts(self) -> dict[str, Any]:
        """For `summary.json`; `level` is how often any axis stands out where none matters."""
        stand_out = {"standing_out": self.standing_out, "level": LEVEL}
        axes = [asdict(one) | {"stands_out": one.stands_out} for one in self.axes]
        return asdict(self) | stand_out | {"axes": axes}


def axis_importances(results: Results) -> Importances | None:
    """The importances for validation accuracy; None with fewer than ten candidates or two axes that vary."""
    table = results.sound
    if len(table) > _MOST:
        table = table.iloc[np.linspace(0, len(table) - 1, _MOST).astype(int)]
    varied = _different(table, list(results.study.space.axes))
    if len(table) < LEAST or len(varied) < 2:
        return None
    space = {name: _distribution(table[name]) for name in varied}
    study = _study(table, space)
    accuracies = table.val_accuracy.to_numpy(float)
    found = _evaluate(study, accuracies)
    total = sum(found.values())
    if total == 0:
        return None
    rng = np.random.default_rng(0)
    deals = [found, *(_evaluate(study, rng.permutation(accuracies)) for _ in range(_SHUFFLES))]
    usual = {name: float(np.mean([one[name] for one in deals])) for name in found}
    highest = max(one[name] / usual[name] for one in deals[1:] for name in found if usual[name] > 0)
    axes = [
        Importance(
            axis=words,
            share=found[name] / total,
            by_chance=highest * usual[name] / total,
        )
        for name, words in varied.items()
    ]
    axes.sort(key=lambda one: -one.share)
    return Importances(axes, len(results.sound), len(table))


def _different(table: pd.DataFrame, axes: list[str]) -> dict[str, str]:
    """The axes that vary, and their names with those of the axes that say the same."""
    seen: dict[bytes, str] = {}
    found: dict[str, str] = {}
    for axis in axes:
        codes, values = pd.factorize(table[axis].astype(object).map(str))
        if len(values) < 2:
            continue
        first = seen.setdefault(codes.tobytes(), axis)
        found[first] = axis if first == axis else f"{found[first]}, {axis}"
    return found


def _study(table: pd.DataFrame, space: dict[str, BaseDistribution]) -> optuna.Study:
    """The candidates as Optuna has trials, with what each has a value of."""
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
    """The importances for these accuracies, by trial."""
    evaluator_of = _ped_anova()
    with warnings.catch_warnings():
        # Optuna says that a target is minimised, and where trials are few: the chart does so too.
        warnings.simplefilter("ignore")
        evaluator = evaluator_of(target_quantile=BEST)
        found = evaluator.evaluate(study, target=lambda trial: -float(accuracies[trial.number]))
    return {name: float(value) for name, value in found.items()}


def _ped_anova() -> Any:
    """Optuna's evaluator, without scikit-learn: its package loads that for another evaluator, which
    takes a second and 50 MB, and does without where there is none."""
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
    """What the values of an axis say of it: numbers where there are many, choices otherwise."""
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
    found = results.once(axis_importances)
    return Analysis(
        charts=drawn(chart(found)),
        facts={"importances": None if found is None else found.facts},
    )


def chart(importances: Importances | None) -> Chart | None:
    """The share of each axis, and what chance gives it; None where there are none."""
    if importances is None:
        return None
    axes = importances.axes[:_ROWS]
    places = np.arange(len(axes), dtype=float)
    shares = [100 * one.share for one in axes]
    chance = [100 * one.by_chance for one in axes]
    looked_at = f"{importances.looked_at:,}"
    if importances.looked_at < importances.candidates:
        looked_at += f" of {importances.candidates:,}"
    some = (
        f" (the largest {len(axes)} of {len(importances.axes)})"
        if len(axes) < len(importances.axes)
        else ""
    )
    return Chart(
        name="importances",
        title=f"Importance of each axis{some}",
        caption="How much the values of an axis among the most accurate"
        f" {100 * BEST:g} % of {looked_at} candidates differ from those among all"
        " (PED-ANOVA, as a share of the sum over axes; means over seeds). It is of each axis alone,"
        " of the values that were tried, and says nothing of the direction."
        f" {importances.standing_out} of {len(importances.axes)} axes reach beyond their marks. Where"
        f" accuracies are dealt at random, any does so in 1 study of {1 / LEVEL:.0f}; the others may be"
        " chance.",
        panels=(
            Panel(
                x=Axis("share of importance in %"),
                y=rows([one.axis for one in axes]),
                series=(
                    Series(
                        "importance", "bars", shares, places, colour=BLUE,
                        hover=[f"{one.axis}\n{share:.1f} %\nby chance up to {limit:.1f} %"
                               for one, share, limit in zip(axes, shares, chance, strict=True)],
                    ),
                    Series(
                        "by chance up to", "points", chance, places, colour=ORANGE, marker="diamond",
                        hover=[f"{one.axis}\nby chance up to {limit:.1f} %"
                               for one, limit in zip(axes, chance, strict=True)],
                    ),
                ),
            ),
        ),
        height=1.8 + 0.36 * len(axes),
    )  # fmt: skip
