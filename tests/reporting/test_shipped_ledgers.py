"""The committed reports are what their packed ledgers say, by the program as it is, and no more than
people look at or what draws the rest again."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sret_search.reporting.contents import analyses
from sret_search.reporting.results import Results
from sret_search.reporting.summary import summarise
from sret_search.study import StudyError, load_study
from sret_search.trials import packed

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(ROOT.glob(f"reports/shipped/*/{packed.FILE}"))
STUDIES = {
    name[1]: file.relative_to(ROOT)
    for file in ROOT.glob("studies/**/*.yaml")
    if (name := re.search(r"^study: *(\S+)", file.read_text(encoding="utf-8"), re.M))
}
FITTED = {"scaling", "provenance"}
"""Keys that depend on the last digits of a machine, or on the version."""


def assert_close(measured: Any, expected: Any, path: str = "") -> None:
    if isinstance(expected, dict):
        assert measured.keys() == expected.keys(), path
        for key, value in expected.items():
            assert_close(measured[key], value, f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(measured) == len(expected), path
        for i, value in enumerate(expected):
            assert_close(measured[i], value, f"{path}.{i}")
    elif isinstance(expected, float):
        assert math.isclose(measured, expected, rel_tol=1e-6, abs_tol=1e-9), path
    else:
        assert measured == expected, path


def test_there_are_shipped_ledgers() -> None:
    assert len(SHIPPED) >= 7
    assert sum(file.stat().st_size for file in SHIPPED) < 1_000_000


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.parent.name)
def test_a_packed_ledger_says_what_the_committed_report_says(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = file.parent.name
    for folder in ("studies", "spaces", "reports"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    results = Results.read(load_study(STUDIES[name]))
    plain = summarise(results, analyses(results))
    drawn = json.loads(json.dumps(plain))
    committed = json.loads((file.parent / "summary.json").read_text())
    assert_close(
        *(
            {key: value for key, value in facts.items() if key not in FITTED}
            for facts in (drawn, committed)
        )
    )
    assert drawn["notices"] == []


def test_a_ledger_that_was_packed_here_comes_before_the_shipped_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder in ("studies", "spaces"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for folder in ("reports/shipped/small", "reports/small"):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(ROOT / "reports/shipped/small" / packed.FILE, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports/small" / packed.FILE).write_bytes(b"damaged")
    with pytest.raises(StudyError, match=f"reports/small/{packed.FILE}"):
        Results.read(load_study(Path("studies/small.yaml")))


def test_what_is_shipped_is_looked_at_or_draws_the_rest() -> None:
    pictures = {
        (page.parent / link).resolve()
        for page in (ROOT / "README.md", ROOT / "reports/README.md")
        for link in re.findall(r"!\[[^]]*]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }
    assert all(picture.is_file() for picture in pictures)
    tables = {packed.FILE, "summary.json", "trials.csv", "front.md"}
    for file in ROOT.glob("reports/shipped/*/*"):
        assert file.name in tables or file in pictures, file
    for folder in ROOT.glob("reports/shipped/*"):
        assert tables <= {file.name for file in folder.iterdir()}, folder


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="not a clone")
def test_git_ignores_what_a_run_writes() -> None:
    written = [
        "runs/s/study.db",
        "reports/s/report.html",
        "reports/s/summary.json",
        "reports/a+b/a.svg",
    ]
    tracked = ["reports/README.md", "reports/shipped/s/summary.json"]
    command = ["git", "check-ignore", "--no-index", *written, *tracked]
    ignored = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ignored.returncode == 128:  # a clone of another user, which git does not read
        pytest.skip(ignored.stderr)
    assert ignored.stdout.split() == written
