"""Every trained depth at every depth: `rerun: all` in a report of a made-up study."""

import json
from pathlib import Path
from typing import Any

import made_up
import pytest

from sret_search.reporting.write import write_report
from sret_search.trials.trial import TrialRecord

SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages: [{width: 16, heads: 1, unique: 2, loops: 3}]
  nll: {share: none}
axes:
  stages.*.loops: {choices: [1, 4, 2]}
"""
STUDY = """\
study: s
space: space.yaml
search: {sampler: grid, seeds: 2}
arms: {axis: stages.*.loops, reference: 2}
controls: [rerun]
"""

pytestmark = pytest.mark.usefixtures("here")


def accuracy(trained: int, run: int, seed: int) -> float:
    """Best where the weights run as they were trained, and better the deeper."""
    return 0.8 + trained / 100 - abs(trained - run) / 50 + seed / 1000


def result(entry: TrialRecord) -> dict[str, Any]:
    trained = entry.job.architecture.executions
    reruns = [
        {"executions": a.executions, "val_accuracy": accuracy(trained, a.executions, entry.seed),
         "val_loss": 1.0, "test_accuracy": accuracy(trained, a.executions, entry.seed) - 0.1}
        for a in entry.job.reruns
    ]  # fmt: skip
    reached = accuracy(trained, trained, entry.seed)
    return made_up.complete(reached, reached - 0.1, reruns=reruns)


def summary(study: str) -> tuple[dict[str, Any], str]:
    made = made_up.run(made_up.written(SPACE, study), result)
    page = write_report(made).read_text(encoding="utf-8")
    return json.loads((made.report_folder / "summary.json").read_text()), page


def test_every_trained_depth_has_a_row_with_every_depth(drawn: None) -> None:
    facts, page = summary(STUDY + "rerun: all\n")
    depths = [2, 4, 8]
    rows = facts["rerun_matrix"]
    assert [(row["trained"], row["seeds"], row["run"]) for row in rows] == [
        (depth, 2, depths) for depth in depths
    ]
    for row in rows:
        # Both seeds together: half of a thousandth above the first.
        wanted = [accuracy(row["trained"], run, 0) + 0.0005 for run in depths]
        assert row["val"] == pytest.approx(wanted)
        assert row["test"] == pytest.approx([value - 0.1 for value in wanted])
        assert row["best"] == row["trained"]
    assert "Every depth at every depth" in page
    assert (Path("reports/s") / "rerun_matrix.png").stat().st_size > 10_000
    # The comparison with the reference stays, and gets what each arm reaches at every depth.
    assert [depth["rerun_test"] for depth in facts["depths"]] == pytest.approx(
        [accuracy(4, run, 0) - 0.0995 for run in depths]
    )


def test_a_depth_that_was_not_run_has_no_number() -> None:
    facts, _ = summary(STUDY)
    assert "rerun_matrix" not in facts
    # The same trials, and a study that asks for more by now.
    made = made_up.written(SPACE, STUDY + "rerun: all\n")
    made_up.run(made, result)
    write_report(made)
    rows = json.loads((made.report_folder / "summary.json").read_text())["rerun_matrix"]
    missing = [[value is None for value in row["val"]] for row in rows]
    assert missing == [[False, False, True], [False] * 3, [True, False, False]]
    assert [row["best"] for row in rows] == [2, 4, 8]
