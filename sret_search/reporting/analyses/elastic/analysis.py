"""Elastic candidates in a report: each at all of its depths, compared with weights for one depth
only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sret_search.reporting.analyses.base import (
    P_COLUMNS,
    Analysis,
    Block,
    Column,
    Table,
    difference_cell,
    drawn,
    family_note,
    fields,
    p_cells,
)
from sret_search.reporting.analyses.candidates import LABELS, cost_axis
from sret_search.reporting.analyses.elastic.numbers import Elastic, ElasticDepth, elastics
from sret_search.reporting.formatting import PARTS, in_percent, listed, percent, points
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, ends, percents
from sret_search.reporting.render.colours import ORANGE, cycle
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.verdict import verdict_note

_DRAWN = 5
_COLUMNS = (
    Column("executions"), Column("trained at", "word"), Column("one model"), Column("alone"),
    Column("gap, points"), *P_COLUMNS, Column("the one model is", "wrap"),
)  # fmt: skip


def analyse(results: Results) -> Analysis:
    """The elastic candidates."""
    elastic_candidates = results.once(elastics)
    return Analysis(
        sentences=[sentence(elastic) for elastic in elastic_candidates],
        charts=drawn(chart(elastic_candidates)),
        blocks=[_block(elastic) for elastic in elastic_candidates],
        facts={"elastics": [_facts(elastic) for elastic in elastic_candidates]},
        compares=bool(elastic_candidates),
    )


def chart(elastic_candidates: list[Elastic]) -> Chart | None:
    """Each elastic candidate at its depths, compared with weights trained for one depth only. None
    if there is no elastic candidate."""
    if not elastic_candidates:
        return None
    drawn_candidates = elastic_candidates[:_DRAWN]
    depths = np.array(
        [rung.executions for elastic in drawn_candidates for rung in elastic.rungs], float
    )
    colours = [colour for colour in cycle(_DRAWN + 1) if colour != ORANGE]
    series_of = [
        _series(candidate, colour)
        for candidate, colour in zip(drawn_candidates, colours, strict=False)
    ]
    panels = [
        Panel(
            x=cost_axis(depths, LABELS["executions"]),
            y=Axis(f"{PARTS[drawn_candidates[0].part]} accuracy in %"),
            series=tuple(series for accuracy, _ in series_of for series in accuracy),
        )
    ]
    gaps = tuple(gap for _, gap in series_of if gap is not None)
    if gaps:
        panels.append(
            Panel(
                x=cost_axis(depths, LABELS["executions"]),
                y=Axis("one model minus a model for the depth alone, points", line=0),
                series=gaps,
                title="gap, paired by seed, with 95 % intervals of each alone",
            )
        )
    left_out = (
        f" ({len(drawn_candidates)} of {len(elastic_candidates)} are drawn)"
        if len(drawn_candidates) < len(elastic_candidates)
        else ""
    )
    return Chart(
        name="accuracy_elastic",
        title=f"One set of weights at every depth{left_out}",
        caption="An elastic model at each depth at which it was evaluated (hollow: it was not trained at"
        " this depth), and models that were trained for one depth alone, equally long.",
        panels=tuple(panels),
    )


def _series(elastic: Elastic, colour: str) -> tuple[list[Series], Series | None]:
    """The accuracies of an elastic candidate. Its gaps, or None if no gap has an interval."""
    name = f"one model ({elastic.mode})"
    x = np.array([rung.executions for rung in elastic.rungs], float)
    y = percents([rung.accuracy for rung in elastic.rungs])
    low, high = ends([rung.interval for rung in elastic.rungs])
    has_interval = elastic.rungs[0].interval is not None
    series = [
        Series(
            name, "line", x, y, low=low if has_interval else None, high=high if has_interval else None,
            colour=colour, marker="circle", group=name,
            hollow=[not rung.is_trained for rung in elastic.rungs],
            hover=[f"{elastic.candidate}\n{elastic.mode}, at {int(executions):,} executions\n{value:.1f} %"
                   for executions, value in zip(x, y, strict=True)],
        )
    ]  # fmt: skip
    alone = percents([rung.alone for rung in elastic.rungs])
    if not np.isnan(alone).all():
        label = "a model for each depth alone"
        series.append(
            Series(
                label, "line", x, alone, colour=ORANGE, marker="square", hollow=True, dash="dash",
                hover=[f"trained for {int(executions):,} executions alone\n{value:.1f} %"
                       for executions, value in zip(x, alone, strict=True)],
            )
        )  # fmt: skip
    rungs = [rung for rung in elastic.rungs if rung.gap.interval is not None]
    if not rungs:
        return series, None
    gaps = percents([rung.gap.difference for rung in rungs])
    low, high = ends([rung.gap.interval for rung in rungs])
    return series, Series(
        name, "points", [float(rung.executions) for rung in rungs], gaps, low=low, high=high,
        colour=colour, group=name,
        hover=[f"{rung.executions:,} executions\n{gap:+.2f} points ({below:+.2f} to {above:+.2f}):"
               f" {rung.gap.verdict}"
               for rung, gap, below, above in zip(rungs, gaps, low, high, strict=True)],
    )  # fmt: skip


def sentence(elastic: Elastic) -> str:
    """A sentence that compares an elastic candidate with weights trained for each depth only."""
    trained, evaluated = len(elastic.trained), len(elastic.rungs)
    text = f"One model trained at {trained} depth{'s' if trained > 1 else ''} ({elastic.mode})"
    if trained < evaluated:
        text += f" and evaluated at {evaluated}"
    text += (
        f", for {elastic.cost:.2f} times the training multiply-adds of its greatest depth alone:"
        f" {in_percent(elastic.rungs[-1].accuracy)} on {PARTS[elastic.part]} at its greatest depth."
    )
    gaps = elastic.compared
    if gaps:
        text += (
            f" It is compared with models trained for one depth alone at {len(gaps)} of its {evaluated}"
            f" depths: {'; '.join(_gaps(gaps))}."
        )
    rival = elastic.rival
    if rival is not None and rival.gap.difference is not None:
        text += (
            " Its greatest depth compared with a model trained for this depth alone, with equal"
            " training multiply-adds:"
            f" {points(rival.gap.difference)} points{verdict_note(rival.gap, 'gaps')}."
        )
    return text


def _gaps(rungs: list[ElasticDepth]) -> Iterator[str]:
    """The verdicts on gaps to weights for one depth only, with the depths at which they hold."""
    groups: dict[str, list[ElasticDepth]] = {}
    for rung in rungs:
        groups.setdefault(rung.gap.verdict, []).append(rung)
    for verdict, group in groups.items():
        gaps = sorted(rung.gap.difference or 0.0 for rung in group)
        depths = listed([f"{rung.executions:,}" for rung in group])
        if len(group) == 1:
            test = group[0].gap
            yield f"{points(gaps[0])} points at {depths} executions{verdict_note(test, 'gaps')}"
            continue
        text = f"{points(gaps[0])} to {points(gaps[-1])} points at {depths} executions: {verdict}"
        tests = group[0].gap.tests
        is_tested = group[0].gap.sign is not None and tests > 1
        yield f"{text} after Holm's correction over {tests} gaps" if is_tested else text


def _block(elastic: Elastic) -> Block:
    trained, rungs, seeds = len(elastic.trained), elastic.rungs, elastic.seeds
    note = (
        f"{PARTS[elastic.part].capitalize()} accuracy in %, means over {seeds}"
        f" seed{'s' if seeds != 1 else ''}. Gaps in points to weights trained for that depth"
        " alone, equally long, paired by seed, with 95 % intervals. Only depths for which the study trains"
        f" such weights are compared.{family_note([rung.gap for rung in rungs], 'gaps')} Training"
        f" takes {elastic.cost:.2f} times the multiply-adds of training the greatest depth alone."
    )
    rows = [_row(rung) for rung in rungs]
    if elastic.rival is not None:
        rows.append(_row(elastic.rival, ", alone for equal multiply-adds"))
    return Block(
        heading=f"One model trained at {trained} depth{'s' if trained != 1 else ''}, evaluated at"
        f" {len(rungs)} ({elastic.mode})",
        notes=[note],
        table=Table(_COLUMNS, rows),
    )


def _row(rung: ElasticDepth, suffix: str = "") -> tuple[str, ...]:
    return (
        f"{rung.executions:,}{suffix}",
        "yes" if rung.is_trained else "no",
        percent(rung.accuracy),
        percent(rung.alone),
        difference_cell(rung.gap),
        *p_cells(rung.gap),
        rung.gap.verdict if rung.has_rival else "",
    )


def _facts(elastic: Elastic) -> dict[str, Any]:
    rival = None if elastic.rival is None else _depth_facts(elastic.rival)
    return fields(elastic, "rungs", "rival") | {
        "trained_depths": len(elastic.trained),
        "rungs": [_depth_facts(rung) for rung in elastic.rungs],
        "rival": rival,
    }


def _depth_facts(rung: ElasticDepth) -> dict[str, Any]:
    verdict = rung.gap.verdict if rung.has_rival else None
    return fields(rung, "gap") | rung.gap.plain("gap_", "gap") | {"verdict": verdict}
