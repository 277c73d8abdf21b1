"""The front as a table for the page, for LaTeX and for Markdown, and the best candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from sret_search.reporting.analyses.base import Analysis, Block, Column, Table
from sret_search.reporting.analyses.confirmation import Confirmed, confirmed
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.pooled_variance import Variances

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
_SHOWN = 100


@dataclass(frozen=True)
class Front:
    """The members of a front as texts, sorted by parameters. The first column has words, all others
    numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def latex(self, footer: str) -> str:
        """A table for a paper that uses the package booktabs.

        Args:
            footer: origin of the numbers.
        """
        head = " & ".join(_latex(column) for column in self.columns)
        body = "\n".join(" & ".join(map(_latex, row)) + r" \\" for row in self.rows)
        return (
            f"% {' '.join(footer.split())}\n"
            f"% {' '.join(self.caption.split())}\n"
            f"\\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}\n\\toprule\n"
            f"{head} \\\\\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
        )

    def markdown(self, footer: str) -> str:
        """A table for a README.

        Args:
            footer: origin of the numbers.
        """
        rule = ("---", *("---:" for _ in self.columns[1:]))
        lines = ["| " + " | ".join(row) + " |" for row in (self.columns, rule, *self.rows)]
        return "\n".join([*lines, "", self.caption, "", footer, ""])


def analyse(results: Results) -> Analysis:
    """The front's members, and the best candidate."""
    members, best = results.once(front), results.best
    return Analysis(
        blocks=[_block(members)] if members.rows else [],
        facts={
            "best": None if best is None else _candidate(results, best),
            "front": [_candidate(results, row) for _, row in results.front.iterrows()],
        },
    )


def _block(members: Front) -> Block:
    note = Markup(
        '{} The same as <a href="front.tex">LaTeX</a> and <a href="front.md">Markdown</a>.'
    ).format(members.caption)
    first, *others = members.columns
    columns = [Column(first, "word"), *map(Column, others)]
    return Block(
        "The front", "front", notes=[note], table=Table(columns, members.rows, is_narrow=False)
    )


def _candidate(results: Results, row: pd.Series) -> dict[str, Any]:
    axes = list(results.study.space.axes)
    counters = {entry.candidate: entry.cost for entry in results.comparable}
    numbers = {
        name: int(row[name]) for name in ("params", "macs", "executions", "unique_blocks", "seeds")
    }
    return {
        "candidate": row.candidate,
        "val_accuracy": float(row.val_accuracy),
        "test_accuracy": None if pd.isna(row.test_accuracy) else float(row.test_accuracy),
        **numbers,
        **{name: counters[row.candidate][name] for name in ("sub_layers", "nlls")},
        "values": {axis: _value(row[axis]) for axis in axes},
    }


def _value(value: Any) -> Any:
    """A value of an axis for JSON. None if the candidate has no value."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def front(results: Results) -> Front:
    """The front of accuracy against parameters, from the confirmations if the study confirms its
    front, otherwise from mean validation accuracies."""
    retrained = results.once(confirmed)
    return _confirmed(retrained) if retrained else _searched(results)


def _searched(results: Results) -> Front:
    members = results.front
    left_out = max(len(members) - _SHOWN, 0)
    members = members[:_SHOWN]
    trials = results.compared[results.compared.candidate.isin(members.candidate)]
    values = {
        name: list(accuracies) for name, accuracies in trials.groupby("candidate").val_accuracy
    }
    tests = {
        name: list(accuracies) for name, accuracies in trials.groupby("candidate").test_accuracy
    }
    has_test = bool(members.test_accuracy.notna().any())
    rows = []
    for row in members.itertuples():
        name = row.candidate
        rows.append((
            name, f"{row.params:,}", f"{row.macs:,}", f"{row.executions:,}",
            f"{row.unique_blocks:,}", str(row.seeds), _accuracy(name, values[name], results.spreads["val"]),
            *([_accuracy(name, tests[name], results.spreads["test"])] if has_test else []),
        ))  # fmt: skip
    caption = (
        f"Candidates that no other candidate beats in validation {results.measure} and parameters: means"
        " over seeds, in %, with the 95 % interval of each candidate alone."
    )
    if left_out:
        caption += f" {left_out} more, with more parameters, are left out."
    accuracy_columns = ("validation", "test") if has_test else ("validation",)
    return Front(caption, (*_COSTS, *accuracy_columns), rows)


def _confirmed(retrained: list[Confirmed]) -> Front:
    members = [candidate for candidate in retrained if candidate.on_front is not False]
    rows = [
        (
            candidate.candidate, f"{candidate.params:,}", f"{candidate.macs:,}", f"{candidate.executions:,}",
            f"{candidate.unique_blocks:,}", str(candidate.seeds),
            *([] if candidate.val is None else [f"{100 * candidate.val:.1f}"]),
            _bounded(candidate.test, candidate.test_interval),
        )
        for candidate in members
    ]  # fmt: skip
    description = "Members of the front"
    if retrained[0].on_front is not None:
        description += " that stay on it, by validation,"
    caption = (
        f"{description} when they are trained again with fresh seeds on {retrained[0].on}: means, in %, with the"
        " 95 % interval of each member alone."
    )
    accuracy_columns = ("validation", "test") if retrained[0].val is not None else ("test",)
    return Front(caption, (*_COSTS, *accuracy_columns), rows)


_COSTS = ("candidate", "parameters", "MACs", "executions", "unique blocks", "seeds")


def _accuracy(name: str, values: list[float], spread: Variances) -> str:
    if np.isnan(values).any():  # test accuracy that may not be shown
        return ""
    return _bounded(float(np.mean(values)), spread.interval(values, name))


def _bounded(middle: float, interval: Interval) -> str:
    low, high = interval
    return f"{100 * middle:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text).replace("–", "--")
