"""The committed reports are what their packed ledgers say, by the program as it is."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from sret_search.reporting.contents import analyses
from sret_search.reporting.results import Results
from sret_search.reporting.summary import summarise
from sret_search.study import load_study
from sret_search.trials import packed

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(ROOT.glob(f"reports/*/{packed.FILE}"))
FITTED = {"scaling", "provenance"}
"""Keys that depend on the last digits of a machine, or on the version."""


def assert_close(found: Any, wanted: Any, path: str = "") -> None:
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), path
        for key, value in wanted.items():
            assert_close(found[key], value, f"{path}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), path
        for i, value in enumerate(wanted):
            assert_close(found[i], value, f"{path}.{i}")
    elif isinstance(wanted, float):
        assert math.isclose(found, wanted, rel_tol=1e-6, abs_tol=1e-9), path
    else:
        assert found == wanted, path


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
    results = Results.read(load_study(Path("studies") / f"{name}.yaml"))
    plain = summarise(results, analyses(results))
    found = json.loads(json.dumps(plain))
    wanted = json.loads((file.parent / "summary.json").read_text())
    assert_close(
        *(
            {key: value for key, value in each.items() if key not in FITTED}
            for each in (found, wanted)
        )
    )
    assert found["notices"] == []
