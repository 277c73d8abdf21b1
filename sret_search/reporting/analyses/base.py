"""Parts of a report that an analysis gives: sentences, charts, blocks of the page, facts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from markupsafe import Markup

from sret_search.reporting.formatting import percent, points
from sret_search.reporting.render.chart import Chart
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.intervals import Interval
from sret_search.reporting.statistics.verdict import Comparison


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        kind: "number", "word", or "wrap" for words that may run over several lines.
    """

    title: str
    kind: Literal["number", "word", "wrap"] = "number"


@dataclass(frozen=True)
class Table:
    """A table of the page. Cells are markup, or texts that the page escapes.

    Attributes:
        lost: row numbers of trials that diverged or failed.
        is_narrow: whether column titles may wrap.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    lost: frozenset[int] = frozenset()
    is_narrow: bool = True

    def __post_init__(self) -> None:
        assert {len(row) for row in self.rows} <= {len(self.columns)}


@dataclass(frozen=True)
class Block:
    """A heading of the page with the content under it.

    Attributes:
        heading: empty if the block continues the block before it.
        name: target of links to the heading. The list of sections has only headings with a name.
        level: 2, or 3 for a heading within a section.
        texts, notes: paragraphs. Notes have smaller letters.
    """

    heading: str = ""
    name: str | None = None
    level: Literal[2, 3] = 2
    texts: Sequence[str] = ()
    notes: Sequence[str] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Analysis:
    """The parts that an analysis puts into a report. Each may be absent.

    Attributes:
        sentences: text for the top of the page.
        facts: entries of `summary.json`, by key.
        compares: whether the block has verdicts. The page then explains verdicts, once.
    """

    sentences: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    blocks: Sequence[Block] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    compares: bool = False


Analyse = Callable[[Results], Analysis]


def drawn(*charts: Chart | None) -> list[Chart]:
    """The charts that are not None."""
    return [chart for chart in charts if chart is not None]


def fields(record: Any, *but: str) -> dict[str, Any]:
    """The fields of a dataclass without those named in `but`."""
    return {
        f.name: getattr(record, f.name) for f in dataclasses.fields(record) if f.name not in but
    }


def isolated(name: str) -> Markup:
    """A user's name as markup that keeps its direction of writing from changing the text around
    it."""
    return Markup("<bdi>{}</bdi>").format(name)


def ranged(fraction: float | None, interval: Interval | None) -> str:
    """An accuracy in per cent, with its interval if it has one."""
    text = percent(fraction)
    if interval is not None:
        text += f" ({percent(interval[0])} to {percent(interval[1])})"
    return text


P_COLUMNS = (Column("p"), Column("p, Holm"))


def difference_cell(test: Comparison) -> str:
    """A difference in points, with its interval if it has one."""
    if test.difference is None:
        return ""
    text = points(test.difference)
    if test.interval is not None:
        text += f" ({points(test.interval[0])} to {points(test.interval[1])})"
    return text


def p_cells(test: Comparison) -> tuple[str, str]:
    """The two p-values of a test, for `P_COLUMNS`."""
    if test.p is None:
        return "", ""
    return f"{test.p:.2g}", "" if test.p_holm is None else f"{test.p_holm:.2g}"


def family_note(tests: Sequence[Comparison], kind: str) -> str:
    """A note on the correction of the tests of a kind, to follow other sentences. Empty for a
    single test."""
    count = max(test.tests for test in tests)
    return f" Verdicts are by p after Holm's correction over {count} {kind}." if count > 1 else ""
