"""Matplotlib as it comes, with one style for every picture: no settings of a user's change one.

It is imported here first, since its own import reads those settings: a notebook's backend, or a
broken file, would end it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

_SETTINGS = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
_STYLE = {
    "figure.dpi": 100,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.8,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # journals refuse fonts of type 3
    "svg.hashsalt": "sret_search",  # the same bytes for the same picture
    "text.parse_math": False,  # or two dollars in a name would be a formula
}


@contextmanager
def _without_settings() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update(_SETTINGS)
    try:
        # A file in the working directory would come before the one that is named, and a module there
        # before the one that is installed: the folder of templates has neither.
        with chdir(Path(__file__).parent / "templates"):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _without_settings():
    import matplotlib


@contextmanager
def styled() -> Iterator[None]:
    """What is made and written meanwhile has the style, whatever was set in this process."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield
