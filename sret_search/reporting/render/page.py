"""The page, filled from its templates, its style, its script and the library that draws charts.

The content security policy names by hash what the page may run, and forbids to load anything. So
text from a study cannot run, even if it was not escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import partial
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from sret_search.reporting import formatting
from sret_search.reporting.render import plotly
from sret_search.reporting.render.chart import Chart
from sret_search.writing import yaml_text

KINDS = ("png", "svg", "pdf")
"""Kinds of files of each chart that are written next to the page."""


def render(template: str, title: str, charts: Sequence[Chart], **facts: Any) -> str:
    """The page, from a template of this folder.

    Args:
        title: title of the page.
        facts: other values that the template needs.
    """
    css, js, library = (_read(name) for name in ("page.css", "page.js", "plotly-basic.min.js"))
    return _environment().get_template(template).render(
        title=title,
        css=Markup(css),
        js=Markup(js),
        plotly=Markup(library) if charts else "",
        scripts=Markup(" ".join(map(_hash, (library, js) if charts else (js,)))),
        charts=[_chart(chart) for chart in charts],
        kinds=KINDS,
        parts=formatting.PARTS,
        **facts,
    )  # fmt: skip


def _chart(chart: Chart) -> dict[str, Any]:
    return {
        "name": chart.name,
        "heading": chart.title,
        "caption": chart.caption,
        "json": htmlsafe_json_dumps(plotly.figure(chart), separators=(",", ":")),
    }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sret_search.reporting.render", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "percent": formatting.percent, "plain": _plain, "yaml": partial(yaml_text, inline=True),
    }  # fmt: skip
    return environment


def _read(name: str) -> str:
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _plain(value: Any) -> str:
    """A value of an axis as a word."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
