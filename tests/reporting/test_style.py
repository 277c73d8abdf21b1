"""Pictures are the same whatever a user has set for Matplotlib."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sret_search.reporting.render import matplotlib
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series
from sret_search.reporting.render.files import pictures
from sret_search.reporting.render.style import styled

CHART = Chart(
    name="one", title="A $x$ × y", caption="",
    panels=(
        Panel(Axis("x"), Axis("y", log=True), (Series("s", "line", [1, 2], [1, 30], colour="#000"),)),
    ),
)  # fmt: skip


def digests() -> list[str]:
    """Of each kind of file of a chart."""
    kinds = pictures(matplotlib.figure(CHART, "footer"))
    return [hashlib.sha256(kinds[kind]).hexdigest() for kind in ("png", "svg", "pdf")]


SETTINGS = {
    "notebook": ({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, b""),
    "no such backend": ({"MPLBACKEND": "nonsense"}, b""),
    "no screen": ({"MPLBACKEND": "qtagg", "DISPLAY": ""}, b""),
    "TeX": ({}, b"text.usetex: True\nfont.size: 33\nsvg.fonttype: none\npdf.fonttype: 3\n"),
    "broken": ({}, b"font.size: large and wide\nno such line\n\xff\xfe\n"),
}


@pytest.mark.parametrize("first", ["write", "plan", "render.files", "contents"])
def test_every_way_to_a_picture_is_blind_to_settings(first: str, tmp_path: Path) -> None:
    process = python(f"import sret_search.reporting.{first}", "broken", tmp_path)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("case", SETTINGS)
def test_pictures_are_the_same_whatever_is_set(case: str, tmp_path: Path) -> None:
    process = python("from test_style import digests; print(digests())", case, tmp_path)
    assert (process.stdout.strip(), process.stderr) == (str(digests()), "")


def python(code: str, case: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process that has the settings of a case."""
    variables, settings = SETTINGS[case]
    (folder / "matplotlibrc").write_bytes(settings)
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | variables | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_was_set_in_this_process_stays_set() -> None:
    import matplotlib as mpl

    before = digests()
    with mpl.rc_context({"font.size": 33, "text.usetex": True, "axes.grid": False}):
        assert digests() == before
        assert mpl.rcParams["font.size"] == 33
        with styled():
            assert mpl.rcParams["font.size"] == 10
    assert "MATPLOTLIBRC" not in os.environ or os.environ["MATPLOTLIBRC"] != os.devnull


def test_fonts_are_of_a_type_that_journals_take() -> None:
    content = pictures(matplotlib.figure(CHART, "footer"))["pdf"]
    assert b"/Subtype /Type0" in content
    assert b"/Type3" not in content
