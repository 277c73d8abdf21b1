"""Matplotlib in its default state, with one style for every picture. Settings of a user have no
effect.

Every other module imports Matplotlib after this one, since that import reads the user's settings. A
notebook's backend, or a broken file, would make it fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from sret_search.environment import environment

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
    # A settings file in the working directory would replace the named file, and a module there
    # would replace the installed module. The folder of templates has neither.
    with environment(_SETTINGS), chdir(Path(__file__).parent / "templates"):
        yield


with _without_settings():
    import matplotlib


@contextmanager
def styled() -> Iterator[None]:
    """Give figures made and written in this context the style, whatever this process has set."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield
