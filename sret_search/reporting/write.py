"""Files of a report, of one study or of several: page, charts, tables, summary."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sret_search.errors import encodable
from sret_search.reporting import overlay, sentences, summary
from sret_search.reporting.analyses import candidates, front, hypervolume
from sret_search.reporting.analyses.base import Analysis
from sret_search.reporting.contents import analyses, blocks
from sret_search.reporting.notices import notices
from sret_search.reporting.published.points import published
from sret_search.reporting.recommendation import answer, export_command
from sret_search.reporting.render import matplotlib
from sret_search.reporting.render.chart import Chart
from sret_search.reporting.render.files import pictures
from sret_search.reporting.render.page import render
from sret_search.reporting.results import Results
from sret_search.study import Study
from sret_search.trials import packed
from sret_search.writing import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMES = {"best": "Best", "knee": "Knee of the front", "smallest": "Smallest within one point"}


def write_report(study: Study, *, pack: bool = False) -> Path:
    """Rebuild `reports/<study>/` from the ledger and the trials' folders alone.

    Args:
        pack: write the packed ledger too, from which the same report can be drawn anywhere.

    Returns:
        The path of the page.

    Raises:
        StudyError: the study never ran, or its ledger cannot be read.
    """
    results = Results.read(study)
    folder = study.report_folder
    analysed, footer = analyses(results), summary.footer(results)
    charts = [chart for analysis in analysed for chart in analysis.charts]
    folder.mkdir(parents=True, exist_ok=True)
    for chart in charts:
        _draw(folder, chart.name, matplotlib.figure(chart, summary.footer(results, chart)))
    members = results.once(front.front)
    facts = summary.summarise(results, analysed)
    _write(folder, {
        "trials.csv": _csv(results.table),
        "trials.parquet": _parquet(results.table),
        "front.tex": _text(members.latex(footer)),
        "front.md": _text(members.markdown(footer)),
        "summary.json": _json(facts),
    })  # fmt: skip
    if pack:
        _write(folder, {packed.FILE: packed.write(study, results.packed)})
    page = folder / "report.html"
    content = _page(results, analysed, charts, facts)
    write_whole(page, _text(content))
    return page


def write_overlay(studies: Sequence[Study], folder: Path | None = None) -> Path:
    """Draw several studies over each other, from their ledgers and folders alone.

    Args:
        folder: folder of the page. None is `reports/<name>+<name>…/`.

    Returns:
        The path of the page.

    Raises:
        StudyError: a study never ran or cannot be read, or the studies cannot be compared.
    """
    studies_results = [Results.read(study) for study in studies]
    rows = overlay.overlay(studies_results)
    title = " + ".join(results.name for results in studies_results)
    if folder is None:
        folder = Path("reports") / "+".join(results.name for results in studies_results)
    drawn = [overlay.chart(studies_results, cost) for cost in candidates.LABELS]
    drawn.append(hypervolume.overlaid(overlay.growths(studies_results)))
    made = [chart for chart in drawn if chart is not None]
    footers = [summary.footer(results) for results in studies_results]
    folder.mkdir(parents=True, exist_ok=True)
    for picture in made:
        signed = " ".join(summary.footer(results, picture) for results in studies_results)
        _draw(folder, picture.name, matplotlib.figure(picture, signed))
    tables_of = [r.table.assign(study=r.name)[["study", *r.table.columns]] for r in studies_results]
    _write(folder, {
        "trials.csv": _csv(pd.concat(tables_of)),
        "summary.json": _json(overlay.summarise(rows)),
    })  # fmt: skip
    page = folder / "report.html"
    content = render(
        "overlay.html", title, made, rows=rows, sentences=overlay.sentences(rows), footers=footers,
        data=studies_results[0].description.data, blocks=[overlay.block(rows)],
    )  # fmt: skip
    write_whole(page, _text(content))
    return page


def _page(
    results: Results,
    analysed: Sequence[Analysis],
    charts: Sequence[Chart],
    facts: dict[str, Any],
) -> str:
    return render(
        "study.html",
        title=results.name,
        charts=charts,
        results=results,
        sentences=sentences.sentences(results, analysed),
        choices=_choices(results),
        blocks=list(blocks(analysed)),
        facts=facts,
        published=results.once(published),
        footer=summary.footer(results),
        notices=notices(results),
    )


def _choices(results: Results) -> list[tuple[str, Any, str]]:
    """The recommended candidates, each once with all of its names, with the command that exports
    it."""
    names: dict[str, list[str]] = {}
    recommended = results.once(answer)
    choices = {} if recommended is None else recommended.choices
    for name, choice in choices.items():
        names.setdefault(choice.candidate, []).append(name)
    return [
        (
            ", ".join(_NAMES[name] for name in roles),
            choices[roles[0]],
            export_command(results.study.path, choices[roles[0]]),
        )
        for roles in names.values()
    ]


def _draw(folder: Path, name: str, figure: Figure) -> None:
    """Write a figure as each kind of file."""
    kinds = pictures(figure).items()
    _write(folder, {f"{name}.{kind}": content for kind, content in kinds})


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        write_whole(folder / name, content)


def _json(plain: dict[str, Any]) -> bytes:
    return _text(json.dumps(plain, indent=1) + "\n")


def _csv(table: pd.DataFrame) -> bytes:
    return _text(table.to_csv(index=False))


def _text(text: str) -> bytes:
    """A text as bytes of a file. A user's name may have characters that UTF-8 cannot encode."""
    return encodable(text).encode()


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    # Parquet has no type for a column with values of several kinds: it becomes text.
    kinds = {name: pd.api.types.infer_dtype(table[name]) for name in table.columns}
    mixed = [name for name, kind in kinds.items() if kind.startswith("mixed")]
    table.astype(dict.fromkeys(mixed, "string")).to_parquet(buffer, index=False)
    return buffer.getvalue()
