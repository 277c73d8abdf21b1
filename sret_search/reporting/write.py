"""Write a study's report folder: page, charts, tables, summary."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt

from sret_search.reporting import charts, grids, lengths, sentences, summary, tables
from sret_search.reporting.answer import Answer, answer, export_command
from sret_search.reporting.charts import Chart
from sret_search.reporting.compared import Compared, compare
from sret_search.reporting.files import pictures, write_whole
from sret_search.reporting.page.render import blank, render
from sret_search.reporting.results import Results
from sret_search.reporting.tables import Front
from sret_search.study import Study

_ROWS = 500
"""Trials in the table of the page; `trials.csv` has all."""
_LOST = 100
"""Trials in the list of those that diverged or failed."""
_PICTURES = {"grids": "Grids of the test part, and what is taken wrongly"}
_NAMES = {"best": "Best", "knee": "Knee of the front", "smallest": "Smallest within one point"}


def write_report(study: Study) -> Path:
    """Rebuild `reports/<study>/` from the ledger and the trials' folders alone; the page that
    was written.

    Raises:
        StudyError: the study was never run, or its ledger cannot be read.
    """
    results = Results.read(study)
    folder = study.report_folder
    compared, found, footer = compare(results), answer(results), summary.footer(results)
    made = charts.charts(results, compared)
    figures = {chart.name: charts.matplotlib.figure(chart, footer) for chart in made}
    view = grids.draw(lengths.test_part(results), lengths.taken(results), footer)
    others = {} if view is None else {"grids": view}
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for name, figure in (figures | others).items():
        kinds = pictures(figure)
        for kind, content in kinds.items():
            write_whole(folder / f"{name}.{kind}", content)
        if name in others:
            images[name] = kinds["svg"]
        plt.close(figure)
    front = tables.front(results, compared.confirmed, footer)
    facts = summary.summarise(results, compared, found)
    for name, content in {
        "trials.csv": results.table.to_csv(index=False).encode(),
        "trials.parquet": _parquet(results),
        "front.tex": front.latex().encode(),
        "front.md": front.markdown().encode(),
        "summary.json": (json.dumps(facts, indent=1) + "\n").encode(),
    }.items():
        write_whole(folder / name, content)
    page = folder / "report.html"
    write_whole(page, _page(results, compared, found, made, front, facts, images).encode())
    return page


def _page(
    results: Results,
    compared: Compared,
    found: Answer | None,
    made: list[Chart],
    front: Front,
    facts: dict[str, Any],
    images: dict[str, bytes],
) -> str:
    table, axes = results.table, list(results.description["axes"])
    if len(table) > _ROWS:
        best = table.sort_values("val_accuracy", ascending=False, kind="stable")[:_ROWS]
        table = best.sort_values("trial")
    lost = [entry for entry in results.entries if entry.state in ("diverged", "failed")]
    return render(
        "study.html",
        title=results.name,
        charts=made,
        results=results,
        sentences=sentences.sentences(results, compared, found),
        choices=_choices(results, found),
        compared=compared,
        facts=facts,
        front=front,
        footer=summary.footer(results),
        trials=blank(table, axes).to_dict("records"),
        left_out=len(results.table) - len(table),
        axes=axes,
        costs={number: results.entries[number].cost for number in table.trial},
        lost=lost[:_LOST],
        lost_left_out=max(len(lost) - _LOST, 0),
        pictures=[
            (_PICTURES[name], name, base64.b64encode(images[name]).decode())
            for name in _PICTURES
            if name in images
        ],
    )


def _choices(results: Results, found: Answer | None) -> list[tuple[str, Any, str]]:
    """What is recommended, each candidate once, under all of its names, and how to export it."""
    names: dict[str, list[str]] = {}
    choices = {} if found is None else found.choices
    for name, choice in choices.items():
        names.setdefault(choice.candidate, []).append(name)
    return [
        (
            ", ".join(_NAMES[name] for name in own),
            choices[own[0]],
            export_command(results.study.path, choices[own[0]]),
        )
        for own in names.values()
    ]


def _parquet(results: Results) -> bytes:
    buffer = io.BytesIO()
    table = results.table
    # A column whose values are of several kinds has no type of Parquet's: it becomes text.
    mixed = [name for name in table.columns if pd.api.types.infer_dtype(table[name]) == "mixed"]
    table.astype(dict.fromkeys(mixed, "string")).to_parquet(buffer, index=False)
    return buffer.getvalue()
