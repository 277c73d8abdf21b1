"""Laws of depth and size in a report, and depth at equal cost."""

from __future__ import annotations

from collections.abc import Sequence

from sret_search.reporting.analyses.base import Analysis, Block, Column, Table, drawn
from sret_search.reporting.analyses.scaling.charts import charts
from sret_search.reporting.analyses.scaling.iso_cost import Slice
from sret_search.reporting.analyses.scaling.laws import scaling
from sret_search.reporting.analyses.scaling.sentences import COSTS, headlines, sentences
from sret_search.reporting.formatting import percent
from sret_search.reporting.results import Results

_COLUMNS = (
    Column("from"), Column("to"), Column("candidates"), Column("executions tried"),
    Column("best executions"), Column("its validation accuracy, %"), Column("may be best", "word"),
)  # fmt: skip


def analyse(results: Results) -> Analysis:
    """The laws, and slices of equal cost."""
    laws = results.once(scaling)
    texts = sentences(laws)
    blocks = []
    if texts:
        blocks = [Block("Scaling", "scaling", texts=texts)]
        blocks += [_block(slices) for slices in (laws.params, laws.macs) if slices]
    return Analysis(
        sentences=headlines(laws),
        charts=drawn(*charts(laws)),
        blocks=blocks,
        facts={"scaling": laws.facts},
    )


def _block(slices: Sequence[Slice]) -> Block:
    cost = COSTS[slices[0].cost]
    note = (
        f"Candidates whose {cost} are equal within 10 %, by budget. A depth may be the best unless its"
        " best candidate is significantly worse than that of another depth (corrected for the choice"
        " among many). The depths that may be best contain the truly best depth in at least 95 % of"
        " studies, and in nearly all studies where one depth stands out."
    )
    table = Table(_COLUMNS, [_row(iso_slice) for iso_slice in slices])
    return Block(f"The best depth at equal {cost}", level=3, notes=[note], table=table)


def _row(iso_slice: Slice) -> tuple[str, ...]:
    may_be_best = [str(depth.executions) for depth in iso_slice.depths if depth.may_be_best]
    return (
        f"{iso_slice.low:,}",
        f"{iso_slice.high:,}",
        str(iso_slice.candidates),
        ", ".join(str(depth.executions) for depth in iso_slice.depths),
        f"{iso_slice.best.executions:,}",
        percent(iso_slice.best.accuracy),
        "any of them" if iso_slice.is_open else ", ".join(may_be_best),
    )
