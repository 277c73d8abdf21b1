"""Write a study's report folder: page, plots, table, summary."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sret_search.reporting import plots, summary
from sret_search.reporting.arms import arms
from sret_search.reporting.depth import depths
from sret_search.reporting.elastic import elastics
from sret_search.reporting.results import Results
from sret_search.reporting.summary import Compared
from sret_search.study import Study

_ROWS = 500
"""Trials in the table of the page; `trials.csv` has all."""
_CAPTIONS = {
    "accuracy_elastic": "One set of weights at every depth",
    "accuracy_executions": "Accuracy against executions",
    "accuracy_params": "Accuracy against parameters",
    "accuracy_macs": "Accuracy against multiply-adds",
}


def write_report(study: Study) -> Path:
    """Rebuild `reports/<study>/` from the ledger and the trials' folders alone; the page that
    was written.

    Raises:
        StudyError: the study was never run, or its ledger cannot be read.
    """
    results = Results.read(study)
    folder = study.report_folder
    compared = Compared(depths(results), arms(results), elastics(results))
    figures = plots.draw(results, compared.depths, compared.elastics, summary.footer(results))
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for name, figure in figures.items():
        _whole(folder / f"{name}.png", _bytes(figure, "png"))
        images[name] = _bytes(figure, "svg")
        _whole(folder / f"{name}.svg", images[name])
        plt.close(figure)
    _whole(folder / "trials.csv", results.table.to_csv(index=False).encode())
    facts = summary.summarise(results, compared)
    _whole(folder / "summary.json", (json.dumps(facts, indent=1) + "\n").encode())
    page = folder / "report.html"
    _whole(page, _page(results, compared, facts, images).encode())
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
    environment.filters |= {"percent": summary.percent, "points": summary.points}
    table = results.table
    if len(table) > _ROWS:
        best = table.sort_values("val_accuracy", ascending=False, kind="stable")[:_ROWS]
        table = best.sort_values("trial")
    return environment.get_template("page.html").render(
        results=results,
        sentences=summary.sentences(results, compared),
        compared=compared,
        facts=facts,
        footer=summary.footer(results),
        trials=table.to_dict("records"),
        left_out=len(results.table) - len(table),
        axes=list(results.description["axes"]),
        costs={entry.number: entry.cost for entry in results.entries},
        lost=[entry for entry in results.entries if entry.state in ("diverged", "failed")],
        figures=[
            (_CAPTIONS[name], name, base64.b64encode(images[name]).decode())
            for name in _CAPTIONS
            if name in images
        ],
    )


def _bytes(figure: Figure, kind: str) -> bytes:
    """The picture, the same bytes for the same results."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "sret_search", "savefig.dpi": 200}):
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def _whole(path: Path, content: bytes) -> None:
    """A reader never sees half of a file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
