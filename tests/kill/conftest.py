"""Fixtures of the kill matrix, and the table of what was killed when."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kills import SCHEDULED, Box, Golden, Told

_FIGURES = "SRET_KILL_FIGURES"
"""Names a file that the figures of the matrix go to, as JSON."""


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """The box of a study that nothing disturbs, run once."""
    boxes: dict[str, Box] = {}

    def run(study: str) -> Box:
        if study not in boxes:
            box = Box(tmp_path_factory.mktemp(f"golden_{study}"), study)
            box.finish()
            assert study == SCHEDULED or set(box.attempts().values()) == {1}
            boxes[study] = box
        return boxes[study]

    return run


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Told:
    """Puts a row into the table of the matrix; what comes into the row later is shown, too."""

    def tell(victim: str, moments: list[str], box: Box) -> dict[str, Any]:
        row = {
            "victim": victim, "study": box.study, "moments": moments, "runs": len(box.runs),
            "trials": len(box.attempts()), "attempts": sum(box.attempts().values()),
            "lost_seconds": 0.0, "seconds": round(box.seconds, 1),
        }  # fmt: skip
        request.node.user_properties.append(("kill", row))
        return row

    return tell


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was killed when, and whether its table was that of the undisturbed run."""
    rows = list(_rows(terminalreporter))
    if not rows:
        return
    terminalreporter.section("kill matrix")
    for row in rows:
        table = "equal" if row["equal"] else "NOT EQUAL"
        terminalreporter.write_line(
            f"{row['victim']:<14} {row['study']:<14} {len(row['moments'])} moments,"
            f" {row['runs']} runs, {row['attempts']} attempts at {row['trials']} trials,"
            f" at most {row['lost_seconds']:.3f} s lost, {row['seconds']:5.1f} s: table {table}"
        )
        for moment in row["moments"]:
            terminalreporter.write_line(f"    {moment}")
    moments = sum(len(row["moments"]) for row in rows)
    terminalreporter.write_line(f"{moments} moments, {sum(row['equal'] for row in rows)} of"
                                f" {len(rows)} tables equal")  # fmt: skip
    if _FIGURES in os.environ:
        Path(os.environ[_FIGURES]).write_text(json.dumps(rows, indent=1))


def _rows(terminalreporter: Any) -> Iterator[dict[str, Any]]:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, row in getattr(report, "user_properties", []):
                if name == "kill" and report.when == "call":
                    yield {**row, "equal": outcome == "passed"}
