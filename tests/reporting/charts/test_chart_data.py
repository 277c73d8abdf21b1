"""Each chart has the numbers of what it shows."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sret_search import pareto
from sret_search.reporting.analyses import (
    arms,
    attainment,
    candidates,
    confirmation,
    costs,
    curves,
    early_stopping,
    failures,
    hypervolume,
    importances,
    learning_rates,
    twins,
)
from sret_search.reporting.analyses.arms import Arm
from sret_search.reporting.analyses.confirmation import Confirmed
from sret_search.reporting.analyses.curves import Curve, Curves
from sret_search.reporting.analyses.depth import analysis as depth
from sret_search.reporting.analyses.depth.numbers import Depth
from sret_search.reporting.analyses.early_stopping import AtRung
from sret_search.reporting.analyses.elastic import analysis as elastic
from sret_search.reporting.analyses.elastic.numbers import Elastic, ElasticDepth
from sret_search.reporting.analyses.failures import Failure
from sret_search.reporting.analyses.hypervolume import Growth
from sret_search.reporting.analyses.importances import Importance, Importances
from sret_search.reporting.analyses.learning_rates import Tuned
from sret_search.reporting.analyses.twins import Pair
from sret_search.reporting.render.chart import Chart, Series
from sret_search.reporting.statistics.attainment import Attained, attained
from sret_search.reporting.statistics.pooled_variance import Variances
from sret_search.reporting.statistics.verdict import Comparison
from sret_search.trials.trial_result import TrialResult

DEPTHS = [
    Depth(4, 3, False, 0.8, (0.7, 0.9), 0.7, (0.6, 0.8), 0.79, 0.69, 0.78, 0.68),
    Depth(20, 3, True, 0.9, (0.8, 0.95), 0.85, (0.8, 0.9), 0.9, 0.85, 0.9, 0.85),
]
PAIR = Pair(
    "c1", 16, "iso_params", "t1", 4, 1000, 5000, 10**9, "params", 0.0, "test", 0.9, 0.88, 3,
    Comparison(0.02, (0.01, 0.03), 3),
)  # fmt: skip


def series(chart: Chart | None, panel: int = 0) -> dict[str, Series]:
    assert chart is not None
    return {drawn.name: drawn for drawn in chart.panels[panel].series}


def results(count: int, seeds: int = 2, lost: int = 0) -> SimpleNamespace:
    """So many candidates, each with so many seeds, over an axis that makes them larger."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "trial": seeds * i + seed, "candidate": f"c{i}", "seed": seed, "state": "complete",
            "val_accuracy": 0.5 + 0.4 * i / count + 0.1 * rng.random(), "params": 1000 + 10 * (i // 2),
            "macs": 10_000 + i, "train_macs": 10**6 + i, "executions": [4, 16][i % 2], "width": i,
        }
        for i in range(count)
        for seed in range(seeds)
    ]  # fmt: skip
    compared = pd.DataFrame(rows)
    grouped = compared.groupby("candidate", sort=False)
    table = grouped.first().assign(val_accuracy=grouped.val_accuracy.mean(), seeds=grouped.size())
    searched = compared.copy()
    searched.loc[: lost - 1, "state"] = "diverged"
    return SimpleNamespace(
        candidates=table.reset_index(), sound=table.reset_index(), compared=compared,
        searched=searched, measure="accuracy", scores=lambda table: table.val_accuracy.to_numpy(),
        study=SimpleNamespace(
            space=SimpleNamespace(axes={"width": None}), sizes=(1000, 200, 300),
        ),
        having=lambda role: {}, images=lambda part: {"val": 200, "test": 300}[part],
        spreads={"val": Variances.from_accuracies(compared.candidate, compared.seed, compared.val_accuracy, 200)},
    )  # fmt: skip


def test_candidates_stand_at_their_means_with_their_intervals_and_the_front() -> None:
    made = results(20)
    by_name = series(costs.chart(made, "params"))
    points, ring = by_name["candidate"], by_name["on the front"]
    table = made.candidates.sort_values(["params", "executions", "params"])
    assert list(points.y) == pytest.approx(list(100 * table.val_accuracy))
    assert np.abs(np.asarray(points.x) / table.params - 1).max() < 0.02  # equal ones side by side
    assert list(points.shades) == list(table.executions)
    values = made.compared[made.compared.candidate == "c0"].val_accuracy
    low, high = made.spreads["val"].interval(list(values), "c0")
    place = list(table.candidate).index("c0")
    assert (points.low[place], points.high[place]) == pytest.approx((100 * low, 100 * high))
    on_front = pareto.pareto(table.val_accuracy, table.params)
    assert list(ring.y) == pytest.approx(list(100 * table.val_accuracy[on_front]))
    steps = by_name["Pareto front of the means"]
    assert list(steps.y[:-1]) == list(ring.y)
    lines = points.hover[place].split("\n")
    assert lines[:3] == ["c0", "width: 0", "1,000 parameters"]
    assert lines[-1].endswith("2 seeds")
    assert f"{100 * values.mean():.1f} %" in lines[-1]


def test_of_very_many_candidates_a_thousand_are_drawn_and_all_of_the_front() -> None:
    made = results(3000, seeds=1)
    chart = costs.chart(made, "macs")
    by_name = series(chart)
    on_front = pareto.pareto(made.candidates.val_accuracy, made.candidates.macs)
    assert len(by_name["on the front"].x) == on_front.sum()
    assert candidates.DRAWN <= len(by_name["candidate"].x) <= candidates.DRAWN + on_front.sum()
    assert "of 3,000 candidates are drawn" in chart.title
    assert by_name["candidate"].low is None
    assert "only candidates on the front have bars" in chart.caption


def test_lost_trials_are_marked_below_all_that_has_an_accuracy() -> None:
    chart = costs.chart(results(20, lost=3), "executions")
    by_name = series(chart)
    (lost,) = (drawn for name, drawn in by_name.items() if "no accuracy" in name)
    assert (len(lost.x), lost.marker) == (3, "cross")
    assert max(lost.y) < min(by_name["candidate"].y)
    low, high = chart.panels[0].y.range
    assert low <= min(lost.y) and max(by_name["candidate"].y) < high


def test_twins_and_reruns_stand_beside_candidates_at_their_own_costs() -> None:
    made = results(2)
    made.having = lambda role: {
        "t1": [SimpleNamespace(result=TrialResult("complete", val_accuracy=a)) for a in (0.7, 0.8)]
    }
    deep = [replace(DEPTHS[0], executions=4), replace(DEPTHS[1], executions=16)]
    controls = {"twins": [PAIR], "trained": deep}
    by_name = series(costs.chart(made, "macs", **controls))
    twin = by_name["twin: iso_params"]
    assert (list(twin.x), list(twin.y), twin.hollow) == ([5000], pytest.approx([75]), True)
    rerun = by_name["rerun control (trained at 16)"]
    assert (list(rerun.x), list(rerun.y)) == ([10_000, 10_001], pytest.approx([79, 90]))
    # Weights that are rerun were trained once.
    rerun = series(costs.chart(made, "train_macs", **controls))["rerun control (trained at 16)"]
    assert list(rerun.x) == [10**6 + 1] * 2


def test_long_intervals_leave_room_for_what_they_are_of() -> None:
    y = np.array([90.0, 92.0])
    low, high = candidates.accuracy_range(y, np.array([10.0, 89.0]), np.array([100.0, 93.0]))
    assert 87 < low < 88 and 94 < high < 95


def test_fronts_of_seeds_are_a_median_and_a_band_over_all_their_corners() -> None:
    stairs = [np.array([10.0, 30.0]), np.array([0.5, 0.7])]
    low = (np.array([20.0]), np.array([0.4]))
    high = (np.array([10.0]), np.array([0.8]))
    attained = Attained("params", 5, 9, (stairs[0], stairs[1]), low, high, 5, 1, 0.94)
    band, median = attainment.series(attained, 100.0)
    assert list(band.x) == [10, 20, 30, 100]
    np.testing.assert_allclose(band.low, [np.nan, 40, 40, 40])
    np.testing.assert_allclose(band.high, [80] * 4)
    np.testing.assert_allclose(median.y, [50, 50, 70, 70])
    assert "94 % of studies" in attainment.caption(attained)
    assert "band: 94 %" in attainment.bars(attained)
    assert attainment.series(None, 1.0) == []


def test_a_chart_says_what_its_bars_are_and_where_points_were_moved_to() -> None:
    made = [results(20, seeds) for seeds in (2, 5)]
    with_two_seeds, with_five_seeds = (
        costs.chart(study, "params", attained(study, "params")) for study in made
    )
    assert (with_two_seeds.has_bars, with_two_seeds.bars) == (True, None)
    assert (
        with_five_seeds.bars
        == "Bars: 95 % intervals over seeds; band: 94 %, of the median front of 5 seeds."
    )
    assert with_two_seeds.caption.endswith("in order of depth.")
    assert with_five_seeds.caption.endswith("drawn at the cost itself.")


def test_depths_stand_beside_their_reruns_on_both_parts() -> None:
    chart = depth.chart(DEPTHS, results(4))
    for panel, trained, rerun, back in (
        (0, [80, 90], [79, 90], [78, 90]),
        (1, [70, 85], [69, 85], [68, 85]),
    ):
        by_name = series(chart, panel)
        assert list(by_name["trained at this depth"].y) == pytest.approx(trained)
        assert list(by_name["trained at 20, rerun at this depth"].y) == pytest.approx(rerun)
        assert list(by_name["trained at this depth, rerun at 20"].y) == pytest.approx(back)
    band = series(chart, 1)["95 % interval"]
    assert list(band.low) == pytest.approx([60, 80])
    assert depth.chart([], results(4)) is None


def test_depths_whose_test_is_closed_are_left_out_of_its_panel() -> None:
    late = replace(DEPTHS[0], executions=64, test=None, test_interval=None, back_test=None)
    chart = depth.chart([*DEPTHS, late], results(4))
    assert list(series(chart, 0)["trained at this depth"].x) == [4, 20, 64]
    assert list(series(chart, 1)["trained at this depth"].x) == [4, 20]
    assert len(depth.chart([late], results(4)).panels) == 1


def test_arms_show_accuracies_and_paired_differences() -> None:
    trained_arms = [
        Arm("fixed", 3, True, 0.9, 0.88, (0.86, 0.9), 10**9),
        Arm("mixed", 3, False, 0.92, 0.9, (0.88, 0.92), 10**9, Comparison(0.02, (0.01, 0.03), 3)),
        Arm("late", 3, False, 0.91, None, None, 10**9, Comparison(is_closed=True)),
    ]
    chart = arms.chart(trained_arms)
    assert [word for _, word in chart.panels[0].y.ticks] == [
        "fixed (reference)", "mixed", "late",
    ]  # fmt: skip
    test = series(chart)["test, with 95 % interval"]
    assert (list(test.x), list(test.y)) == (pytest.approx([88, 90]), [0, 1])
    (gain,) = series(chart, 1).values()
    assert (list(gain.x), list(gain.y)) == (pytest.approx([2]), [1])
    assert (gain.left[0], gain.right[0]) == pytest.approx((1, 3))
    assert arms.chart(trained_arms[:1]) is None


def test_twins_lie_in_the_rows_of_their_candidates() -> None:
    pairs = [
        PAIR,
        replace(PAIR, control="shallow", difference=Comparison(-0.01, None, 1), gap=0.1),
        replace(
            PAIR,
            candidate="c2",
            candidate_executions=64,
            accuracy=0.8,
            difference=Comparison(0.03, (0.01, 0.03), 3),
        ),
    ]
    chart = twins.chart(pairs)
    by_kind = {name.split(":")[0]: drawn for name, drawn in series(chart).items()}
    assert list(by_kind["iso_params"].x) == pytest.approx([2, 3])
    assert [round(place) for place in by_kind["iso_params"].y] == [0, 1]
    assert (list(by_kind["shallow"].hollow), by_kind["shallow"].left) == ([True], None)
    assert chart.panels[0].y.ticks[1][1] == "64 executions (c2)"
    assert twins.chart([]) is None


def test_rates_of_arms_and_how_the_best_moves_with_depth() -> None:
    rate = [1e-3, 2e-3, 4e-3]
    tuned = [
        Tuned(4, 1000, True, rate, [0.8, 0.9, None], 2e-3, True),
        Tuned(16, 1000, True, rate, [0.9, 0.8, 0.7], 1e-3, False),
        Tuned(4, 900, False, rate, [0.7, 0.8, 0.7], 2e-3, True),
    ]
    chart = learning_rates.by_arm(tuned)
    line = next(s for s in chart.panels[0].series if s.name == "4 executions" and s.kind == "line")
    np.testing.assert_allclose(line.y, [80, 90, np.nan])
    assert line.hover[2].endswith("diverged")
    ends = {(s.name, s.marker) for s in chart.panels[0].series if s.kind == "points"}
    assert ends == {("4 executions", "star"), ("16 executions", "cross"), ("twins", "star")}
    chart = learning_rates.by_depth(tuned)
    best = series(chart)["best on validation"]
    assert (list(best.x), list(best.y), list(best.hollow)) == ([4, 16], [2e-3, 1e-3], [False, True])
    assert "power −0.50" in chart.caption
    assert learning_rates.by_depth(tuned[:1]) is None and learning_rates.by_arm([]) is None


def test_elastic_models_stand_beside_models_alone() -> None:
    rungs_ = [
        ElasticDepth(2, False, True, 0.8, (0.7, 0.9), 0.82, Comparison(-0.02, (-0.03, -0.01), 2)),
        ElasticDepth(8, True, False, 0.9, (0.8, 0.95), None),
    ]
    chart = elastic.chart([Elastic("c", "sandwich", "test", 2, 1.5, rungs_, None)])
    by_name = series(chart)
    assert list(by_name["one model (sandwich)"].y) == pytest.approx([80, 90])
    assert list(by_name["one model (sandwich)"].hollow) == [True, False]
    np.testing.assert_allclose(by_name["a model for each depth alone"].y, [82, np.nan])
    gap = series(chart, 1)["one model (sandwich)"]
    assert (list(gap.x), list(gap.y)) == ([2], pytest.approx([-2]))


def test_the_confirmed_front_is_of_those_that_stay() -> None:
    stays = Confirmed(
        candidate="a", params=100, macs=1000, executions=4, seeds=4, on="train", chosen=0.8, val=0.7,
        unique_blocks=2, test=0.6, test_interval=(0.5, 0.7), is_observed=True, score=0.7,
        on_front=True,
    )  # fmt: skip
    beaten = replace(stays, candidate="b", params=200, test=0.5, on_front=False)
    by_name = series(confirmation.chart([stays, beaten]))
    assert list(by_name["stays on the front, by validation"].y) == [60]
    assert list(by_name["as the search measured it, on validation"].y) == [80, 80]
    assert list(by_name["4 fresh seeds trained on train, on test"].y) == [60, 50]


def test_curves_of_the_front_have_the_colour_of_their_depth() -> None:
    curve = Curve(0, "a", 0, 4, 100, False, [1, 2], [0.1, 0.2], [2.0, 1.0])
    drawn = [
        curve,
        replace(curve, trial=1, on_front=True),
        replace(curve, trial=2, executions=64, on_front=True),
    ]
    chart = curves.chart(Curves(drawn, 10))
    assert "(3 of 10 trials are drawn)" in chart.title
    lines = [s for s in chart.panels[0].series if s.kind == "line"]
    assert [list(line.y) for line in lines] == [[10, 20]] * 3
    assert len({line.colour for line in lines}) == 3
    assert list(chart.panels[1].series[0].y) == [2.0, 1.0]
    assert curves.chart(None) is None


def test_the_others_have_what_they_are_given() -> None:
    grown = series(hypervolume.chart(Growth([1, 2], [0.1, 0.3], 0.1, 1e5)))
    assert list(grown["hypervolume of running means"].y) == [0.1, 0.3]
    assert hypervolume.chart(None) is None
    axes = [Importance("width", 0.9, 0.2), Importance("lr", 0.1, 0.2)]
    by_name = series(importances.chart(Importances(axes, 1000, 500)))
    assert list(by_name["importance"].x) == pytest.approx([90, 10])
    assert list(by_name["by chance up to"].x) == pytest.approx([20, 20])
    chart = failures.chart([Failure("loss not finite", 2, True), Failure("worker died", 5, False)])
    by_name = series(chart)
    assert (
        list(by_name["trials that are lost"].x),
        list(by_name["attempts that were made again"].y),
    ) == ([2], [1])
    assert failures.chart([]) is None
    at_rungs = [
        AtRung(i, "c", epoch, 0.5, 4, i == 1 and epoch == 3) for i in range(2) for epoch in (1, 3)
    ]
    by_name = series(early_stopping.chart(at_rungs))
    assert [round(x) for x in by_name["stopped here"].x] == [1]
    assert [round(x) for x in by_name["went on"].x] == [0, 1, 0]
    assert early_stopping.chart(at_rungs[:1]) is None


def test_every_axis_says_its_unit() -> None:
    made = [
        costs.chart(results(4), "train_macs"), depth.chart(DEPTHS, results(4)),
        twins.chart([PAIR]), hypervolume.chart(Growth([1, 2], [0.1, 0.3], 0.1, 1e5)),
        failures.chart([Failure("loss not finite", 2, True)]),
    ]  # fmt: skip
    for chart in made:
        for panel in chart.panels:
            assert panel.x.label
            assert panel.y.label or panel.y.ticks
            for axis in (panel.x, panel.y):
                assert (
                    "accuracy" not in axis.label
                    or "%" in axis.label
                    or "points" in axis.label
                    or "×" in axis.label
                )
