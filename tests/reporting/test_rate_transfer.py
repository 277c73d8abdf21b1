"""The best learning rate at each depth, on made-up losses whose lowest point is known."""

import math

import pytest
from made_up import complete, run, written

from sret_search.reporting.analyses import rate_transfer
from sret_search.reporting.results import Results

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 4, 16]}
  residual.kind: {choices: [scaled, lrc]}
  recipe.lr: {choices: [1.0e-3, 2.0e-3, 4.0e-3, 8.0e-3, 1.6e-2]}
"""
STUDY = "study: s\nspace: space.yaml\nsearch: {sampler: grid, seeds: 3}\n"


def _results(power: float, spread: float = 0.1, lost: float | None = None) -> Results:
    """A study whose loss is a parabola around a best rate that follows executions to a power."""

    def result(entry):
        lr, depth = entry.values["recipe.lr"], entry.cost["executions"]
        if lr == lost:
            return complete(0.5) | {"state": "diverged"}
        of_kind = power if entry.values["residual.kind"] == "lrc" else 0.0
        best = math.log(4e-3) + of_kind * math.log(depth / 16) + spread * (entry.seed % 3 - 1)
        return complete(0.9, val_loss=0.3 + 0.05 * (math.log(lr) - best) ** 2)

    return Results.read(run(written(SPACE, STUDY), result))


def test_the_lowest_point_and_its_power_of_depth_are_those_of_the_losses(here: None) -> None:
    transfers = {t.group["residual.kind"]: t for t in rate_transfer.transferred(_results(-0.4))}
    assert transfers["scaled"].power == pytest.approx(0, abs=1e-9)
    assert transfers["lrc"].power == pytest.approx(-0.4, abs=1e-6)
    for best in transfers["scaled"].best:
        assert best.rate == pytest.approx(4e-3)
        # Three seeds at -0.1, 0 and 0.1, which a quarter of a step exceeds: Student's t, 2 degrees.
        half = 4.302653 * math.log(2) / 4 / math.sqrt(3)
        assert best.interval == pytest.approx((4e-3 * math.exp(-half), 4e-3 * math.exp(half)))
        assert best.at_end == 0
    low, high = transfers["lrc"].interval
    assert low < -0.4 < high


def test_the_page_says_what_moved(here: None) -> None:
    analysis = rate_transfer.analyse(_results(-0.4))
    scaled, lrc = analysis.sentences
    assert "to the power +0.00 (95 % interval −0.16 to +0.16 over 3 seeds)" in scaled
    assert "no change with depth was measured" in scaled
    assert "a deeper candidate needs a lower rate" in lrc
    [chart] = analysis.charts
    assert [panel.title for panel in chart.panels] == ["scaled", "lrc"]
    assert len(chart.panels[0].series) == 6


def test_a_best_rate_at_an_end_is_said_to_be(here: None) -> None:
    [_, lrc] = rate_transfer.transferred(_results(-1.0))
    assert [best.at_end for best in lrc.best] == [3, 0, 3]
    assert "At 4 and 64 executions some seeds" in rate_transfer.analyse(_results(-1.0)).sentences[1]


def test_a_rate_at_which_trainings_diverge_is_not_best(here: None) -> None:
    [scaled, _] = rate_transfer.transferred(_results(0.0, spread=0.0, lost=4e-3))
    assert all(best.losses[2] == math.inf for best in scaled.best)
    # Its neighbours are equally good, and no parabola is drawn through it.
    for best in scaled.best:
        assert best.rate in (pytest.approx(2e-3), pytest.approx(8e-3))


def test_unfinished_grids_say_nothing(here: None) -> None:
    made = written(SPACE, STUDY)
    results = Results.read(run(made, lambda entry: complete(0.9), most=20))
    assert rate_transfer.transferred(results) == []
    assert not rate_transfer.analyse(results).sentences
