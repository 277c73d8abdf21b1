"""The plot of a space: what its candidates cost, before any is trained."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from sret_search.reporting.files import pictures, write_whole
from sret_search.reporting.style import BLUE, ORANGE, RED, STYLE, UNITS, entitle, thousands
from sret_search.study import Study
from sret_search.study.schema import Limit
from sret_search.study.space import Candidate
from sret_search.study.survey import Survey

_NEAR = 10.0
"""A limit is drawn where it is at most so many times beyond what is drawn."""


def write_plan(study: Study, found: Survey, samples: Sequence[Candidate]) -> None:
    """Draw the space of a study into its report's folder."""
    with plt.rc_context(STYLE):
        figure = draw(study, found, samples)
        study.report_folder.mkdir(parents=True, exist_ok=True)
        for kind, content in pictures(figure).items():
            write_whole(study.report_folder / f"plan.{kind}", content)
    plt.close(figure)


def draw(study: Study, found: Survey, samples: Sequence[Candidate]) -> Figure:
    """Feasible candidates in parameters × multiply-adds, the budget's limits, and samples."""
    figure: Figure
    # Fixed margins: to find them anew takes longer than to draw.
    figure, axes = plt.subplots(figsize=(7, 4.6), layout="none")
    figure.subplots_adjust(left=0.11, right=0.98, top=0.93, bottom=0.17)
    axes.scatter(
        found.params, found.macs, s=12, color=BLUE, alpha=0.5, linewidths=0, label="feasible"
    )
    costs = [candidate.cost for candidate in samples]
    axes.scatter(
        [known.params for known in costs], [known.macs for known in costs], s=70,
        facecolors="none", edgecolors=ORANGE, linewidths=1.4, label="samples",
    )  # fmt: skip
    budget = study.space.budget
    for name, values in (("params", found.params), ("macs", found.macs)):
        ends = float(values.min()), float(values.max())
        _cost_axis(axes, name, [*ends, *_limits(axes, name, getattr(budget, name), *ends)])
    axes.legend(loc="best")
    looked = "all of them" if found.exact else f"of {found.looked_at:,} random draws"
    footer = f"study {study.name}: {found.distinct:,} different feasible candidates, {looked}"
    entitle(axes, f"{study.name}: what the space holds", f"{footer}; {len(found.params):,} drawn.")
    return figure


def _limits(axes: Axes, name: str, limit: Limit, low: float, high: float) -> list[float]:
    """Draw the limits of a cost that are near, and give them back."""
    near = [v for v in (limit.min, limit.max) if v and low / _NEAR <= v <= high * _NEAR]
    for value in near:
        line = axes.axvline if name == "params" else axes.axhline
        label = f"budget: {value:,.0f} {name}"
        line(value, color=RED, linestyle="--", linewidth=1.2, label=label)
    return near


def _cost_axis(axes: Axes, name: str, values: list[float]) -> None:
    """Make a cost's axis logarithmic; costs that are all but the same stay near each other."""
    low, high = min(values), max(values)
    if high < 2 * low:
        low, high = low / 1.5, high * 1.5
    margin = (high / low) ** 0.06
    x = "x" if name == "params" else "y"
    axes.set(
        **{f"{x}scale": "log", f"{x}lim": (low / margin, high * margin), f"{x}label": UNITS[name]}
    )
    axis = axes.xaxis if name == "params" else axes.yaxis
    if high < 20 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(thousands())
    axis.set_minor_formatter(NullFormatter())
