"""The front as a table, for the page, for LaTeX and for Markdown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sret_search.reporting.confirmed import Confirmed
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
    """The members of a front, by parameters, as texts; the first column is a word, all others
    are numbers.

    Attributes:
        footer: where they come from.
    """

    caption: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    footer: str

    def latex(self) -> str:
        """For a paper that uses the package booktabs."""
        head = " & ".join(_latex(column) for column in self.columns)
        body = "\n".join(" & ".join(map(_latex, row)) + r" \\" for row in self.rows)
        return (
            f"% {' '.join(self.footer.split())}\n"
            f"% {' '.join(self.caption.split())}\n"
            f"\\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}\n\\toprule\n"
            f"{head} \\\\\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
        )

    def markdown(self) -> str:
        """For a README."""
        rule = ("---", *("---:" for _ in self.columns[1:]))
        lines = ["| " + " | ".join(row) + " |" for row in (self.columns, rule, *self.rows)]
        return "\n".join([*lines, "", self.caption, "", self.footer, ""])


def front(results: Results, again: list[Confirmed], footer: str) -> Front:
    """The front of accuracy against parameters: of what was trained again, where a study confirms
    its front, and of means on validation elsewhere."""
    return _confirmed(again, footer) if again else _searched(results, footer)


def _searched(results: Results, footer: str) -> Front:
    member = results.front
    left_out = max(len(member) - _SHOWN, 0)
    member = member[:_SHOWN]
    trials = results.compared[results.compared.candidate.isin(member.candidate)]
    values = {name: list(own) for name, own in trials.groupby("candidate").val_accuracy}
    tests = {name: list(own) for name, own in trials.groupby("candidate").test_accuracy}
    has_test = bool(member.test_accuracy.notna().any())
    rows = []
    for row in member.itertuples():
        name = row.candidate
        rows.append((
            name, f"{row.params:,}", f"{row.macs:,}", f"{row.executions:,}",
            f"{row.unique_blocks:,}", str(row.seeds), _accuracy(name, values[name], results.spreads["val"]),
            *([_accuracy(name, tests[name], results.spreads["test"])] if has_test else []),
        ))  # fmt: skip
    caption = (
        f"Candidates that no other one beats in validation {results.measure} and parameters: means"
        " over seeds, in %, with the 95 % interval of each candidate alone."
    )
    if left_out:
        caption += f" {left_out} more, with more parameters, are left out."
    shown = ("validation", "test") if has_test else ("validation",)
    return Front(caption, (*_COSTS, *shown), rows, footer)


def _confirmed(again: list[Confirmed], footer: str) -> Front:
    member = [one for one in again if one.on_front is not False]
    rows = [
        (
            one.candidate, f"{one.params:,}", f"{one.macs:,}", f"{one.executions:,}",
            f"{one.unique_blocks:,}", str(one.seeds),
            *([] if one.val is None else [f"{100 * one.val:.1f}"]),
            _bounded(one.test, one.test_interval),
        )
        for one in member
    ]  # fmt: skip
    which = "Members of the front"
    if again[0].on_front is not None:
        which += " that stay on it, by validation,"
    caption = (
        f"{which} when they are trained again with fresh seeds on {again[0].on}: means, in %, with the"
        " 95 % interval of each member alone."
    )
    shown = ("validation", "test") if again[0].val is not None else ("test",)
    return Front(caption, (*_COSTS, *shown), rows, footer)


_COSTS = ("candidate", "parameters", "MACs", "executions", "unique blocks", "seeds")


def _accuracy(name: str, values: list[float], spread: Variances) -> str:
    if np.isnan(values).any():  # test accuracy that stays closed
        return ""
    return _bounded(float(np.mean(values)), spread.interval(values, name))


def _bounded(middle: float, interval: Interval) -> str:
    low, high = interval
    return f"{100 * middle:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text).replace("–", "--")
