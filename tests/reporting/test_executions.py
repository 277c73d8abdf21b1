"""What each execution does, in a report of a made-up study: from `depth.json` to charts and table."""

import json
import shutil
from pathlib import Path
from typing import Any

import made_up
import pytest

from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.reporting.analyses import executions
from sret_search.reporting.results import Results
from sret_search.reporting.write import write_report
from sret_search.study import Study
from sret_search.training.results import DepthMetrics
from sret_search.trials import packed
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
  stages.*.loops: {choices: [1, 2, 20]}
"""
STUDY = """\
study: s
space: space.yaml
search: {sampler: grid, seeds: 2}
monitor: true
"""

pytestmark = pytest.mark.usefixtures("here")


def record(depth: int, epoch: int, better: float) -> DepthMetrics:
    """Updates that halve, a right angle after each, and a head that is ready at the last but one."""
    loops = depth // 2
    return DepthMetrics(
        epoch=epoch,
        updates=[(1 + better / 3) / 2**i for i in range(depth)],
        gradient_shares=[1 / depth] * depth,
        angles=[None, *[90.0 + 1 / 3] * (depth - 1)],
        distances=[float(depth - 1 - i) for i in range(depth)],
        read_after=[loops + i + 1 for i in range(loops)],
        accuracies=[0.5] * (loops - 2) + [0.795] * (loops > 1) + [0.8],
    )


def made(change: Any = None) -> Study:
    """A study whose second seed is the better one; `change` gives the entries of a `depth.json`."""
    study = made_up.written(SPACE, STUDY)

    def result(entry: TrialRecord) -> dict[str, Any]:
        folders = TrialFolders(str(study.trials_root))
        depth, better = entry.cost["executions"], entry.seed / 10
        content = [record(depth, epoch, better).to_dict() for epoch in (1, 2)]
        content = content if change is None else change(content)
        for _ in range(2):  # a later attempt has what the earlier ones had, and more
            attempt = Path(folders.new_attempt(entry.number))
            attempt.mkdir(parents=True, exist_ok=True)
            (attempt / "depth.json").write_text(
                json.dumps(content if isinstance(content, dict) else content[:1])
            )
        (attempt / "depth.json").write_text(json.dumps(content))
        return made_up.complete(0.5 + better)

    return made_up.run(study, result)


def summary(study: Study) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((study.report_folder / "summary.json").read_text())
    return facts


def test_the_best_trial_of_each_depth_is_shown_after_its_last_epoch(drawn: None) -> None:
    study = made()
    page = write_report(study).read_text(encoding="utf-8")
    rows = summary(study)["executions"]
    assert [(row["executions"], row["seed"], row["epoch"]) for row in rows] == [
        (2, 1, 2), (4, 1, 2), (40, 1, 2),
    ]  # fmt: skip
    assert [row["median_angle"] for row in rows] == [90.33] * 3
    assert [row["last_update"] for row in rows] == [
        pytest.approx((1 + 0.1 / 3) / 2 ** (depth - 1), rel=1e-3) for depth in (2, 4, 40)
    ]
    # The head of 4 executions is read after 3 and 4, and that of 40 after 21 to 40.
    assert [row["ready"] for row in rows] == [2, 3, 39]
    assert [row["accuracy"] for row in rows] == [0.8] * 3
    assert "What each execution does" in page
    for name in ("executions", "head_by_loop"):
        assert (study.report_folder / f"{name}.png").stat().st_size > 10_000


def test_a_packed_ledger_gives_the_same_report() -> None:
    study = made()
    write_report(study, pack=True)
    before, charts = summary(study), executions.analyse(Results.read(study)).charts
    shutil.rmtree("runs")
    assert packed.stands_for(study)
    write_report(study)
    after = executions.analyse(Results.read(study))
    assert summary(study)["executions"] == before["executions"]
    for one, other in zip(charts, after.charts, strict=True):
        for panel, again in zip(one.panels, other.panels, strict=True):
            # As texts, in which NaN equals NaN.
            assert [str(s.y.tolist()) for s in panel.series] == [
                str(s.y.tolist()) for s in again.series
            ]


def test_records_of_an_earlier_program_have_fewer_panels() -> None:
    def earlier(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = ("epoch", "updates", "gradient_shares")
        return [{name: entry[name] for name in kept} for entry in content]

    analysis = executions.analyse(Results.read(made(earlier)))
    assert [(chart.name, len(chart.panels)) for chart in analysis.charts] == [
        ("executions", 1), ("head_by_loop", 1),
    ]  # fmt: skip
    row = analysis.facts["executions"][0]
    assert (row["median_angle"], row["ready"], row["accuracy"]) == (None, None, None)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: [],
        lambda content: {"epoch": 1},
        lambda content: [content[0] | {"updates": ["a", "b"]}],
        lambda content: [content[0] | {"distances": [0.0]}],
        lambda content: [content[0] | {"updates": [float("nan")] * len(content[0]["updates"])}],
    ],
    ids=["empty", "no list", "words", "short", "not finite"],
)
def test_a_damaged_record_counts_as_absent(change: Any) -> None:
    analysis = executions.analyse(Results.read(made(change)))
    assert (analysis.facts, analysis.charts, analysis.blocks) == ({}, (), ())


def test_lines_have_the_values_and_zeros_are_not_drawn_on_a_logarithm() -> None:
    charts = executions.analyse(Results.read(made())).charts
    update, angle, distance = charts[0].panels
    two, four, _ = distance.series
    assert str(two.y.tolist()) == "[1.0, nan]"
    assert str(four.y.tolist()) == "[3.0, 2.0, 1.0, nan]"
    assert (update.y.log, distance.y.log, angle.y.log) == (True, True, False)
    assert str(angle.series[1].y.tolist()) == "[nan, 90.33, 90.33, 90.33]"
    head, shares = charts[1].panels
    assert (list(head.series[1].x), list(head.series[1].y)) == ([3, 4], [79.5, 80.0])
    assert list(shares.series[1].y) == [0.25] * 4
    assert len({series.colour for series in update.series}) == 3
