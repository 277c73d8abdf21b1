"""Write a study's report folder: page, plots, table, summary."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib import pyplot as plt

from sret_search.reporting import charts, grids, plots, sentences, summary, words
from sret_search.reporting.compared import Compared, compare
from sret_search.reporting.files import pictures, write_whole
from sret_search.reporting.results import Results
from sret_search.study import Study

_ROWS = 500
"""Trials in the table of the page; `trials.csv` has all."""
_CAPTIONS = {
    "accuracy_elastic": "One set of weights at every depth",
    "accuracy_executions": "Accuracy against executions",
    "accuracy_lengths": "Accuracy against the length of the path",
    "grids": "Grids of the test part, and what is taken wrongly",
    "confirmed": "The front, trained again",
    "accuracy_params": "Accuracy against parameters",
    "accuracy_macs": "Accuracy against multiply-adds",
    "accuracy_train_macs": "Accuracy against multiply-adds of the training",
    "twins": "Candidates beside their twins",
    "learning_rates": "The learning rate of each arm",
}


def write_report(study: Study) -> Path:
    """Rebuild `reports/<study>/` from the ledger and the trials' folders alone; the page that
    was written.

    Raises:
        StudyError: the study was never run, or its ledger cannot be read.
    """
    results = Results.read(study)
    folder = study.report_folder
    compared = compare(results)
    footer = summary.footer(results)
    made = charts.charts(results, compared)
    figures = {chart.name: charts.matplotlib.figure(chart, footer) for chart in made}
    figures |= plots.draw(results, compared, footer) | grids.draw(results, footer)
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for name, figure in figures.items():
        kinds = pictures(figure)
        for kind, content in kinds.items():
            write_whole(folder / f"{name}.{kind}", content)
        images[name] = kinds["svg"]
        plt.close(figure)
    write_whole(folder / "trials.csv", results.table.to_csv(index=False).encode())
    facts = summary.summarise(results, compared)
    write_whole(folder / "summary.json", (json.dumps(facts, indent=1) + "\n").encode())
    page = folder / "report.html"
    write_whole(page, _page(results, compared, facts, images).encode())
    return page


def _page(
    results: Results, compared: Compared, facts: dict[str, Any], images: dict[str, bytes]
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sret_search.reporting", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"percent": words.percent, "points": words.points}
    table, axes = results.table, list(results.description["axes"])
    if len(table) > _ROWS:
        best = table.sort_values("val_accuracy", ascending=False, kind="stable")[:_ROWS]
        table = best.sort_values("trial")
    return environment.get_template("page.html").render(
        results=results,
        sentences=sentences.sentences(results, compared),
        compared=compared,
        facts=facts,
        footer=summary.footer(results),
        trials=_blank(table, axes).to_dict("records"),
        left_out=len(results.table) - len(table),
        axes=axes,
        costs={entry.number: entry.cost for entry in results.entries},
        lost=[entry for entry in results.entries if entry.state in ("diverged", "failed")],
        figures=[
            (_CAPTIONS[name], name, base64.b64encode(images[name]).decode())
            for name in _CAPTIONS
            if name in images
        ],
    )


def _blank(table: pd.DataFrame, axes: list[str]) -> pd.DataFrame:
    """The table with nothing written where an axis has no value."""
    values = table[axes].astype(object)
    return table.assign(**values.where(values.notna(), ""))
