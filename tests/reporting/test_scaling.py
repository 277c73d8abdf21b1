"""Laws are found again, intervals cover, what cannot be known is said; slices are of equal cost."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace

import made_up
import numpy as np
import pandas as pd
import pytest
import scaling_recovery
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from sret_search.cost import params_by_runs
from sret_search.reporting.analyses.depth.analysis import unused_sentences
from sret_search.reporting.analyses.depth.numbers import Depth
from sret_search.reporting.analyses.scaling.charts import charts
from sret_search.reporting.analyses.scaling.fit import fit
from sret_search.reporting.analyses.scaling.interval import Bootstraps, Estimate, estimate
from sret_search.reporting.analyses.scaling.iso_cost import TOLERANCE, slice_of
from sret_search.reporting.analyses.scaling.law import ALPHA, PHI, A, E, Points
from sret_search.reporting.analyses.scaling.laws import scaling
from sret_search.reporting.analyses.scaling.recurrence import depends
from sret_search.reporting.analyses.scaling.seeds import block, slope
from sret_search.reporting.analyses.scaling.sentences import (
    _number,
    headlines,
    sentences,
)
from sret_search.reporting.render import plotly
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.pooled_variance import Variances
from sret_search.reporting.statistics.verdict import Comparison
from sret_search.trials.trial import TrialRecord

LAW = scaling_recovery.Law(30, 3, phi=0.46, alpha=0.35, e=0.25, noise=0.0, misfit=0.0)


def drawn(**changes: float) -> Points:
    law = scaling_recovery.Law(**(vars(LAW) | changes))
    return law.draw(np.random.default_rng(1))


def test_a_law_without_noise_is_found_exactly() -> None:
    law = fit(drawn())
    assert law is not None
    assert law.theta[[E, PHI, ALPHA]] == pytest.approx([0.25, 0.46, 0.35], abs=1e-4)
    assert law.theta[A] * law.centre ** law.theta[ALPHA] == pytest.approx(0.5 * 1e5**0.35, rel=1e-2)


def test_a_fit_is_the_optimum_that_scipy_finds() -> None:
    points = drawn(noise=0.1)
    law = fit(points)
    assert law is not None
    of_scipy = optimize.least_squares(
        lambda theta: points.residuals(theta[None], law.centre)[0][0],
        [0.2, 0.5, 0.4, 0.4], loss="huber", f_scale=law.delta, xtol=1e-12, ftol=1e-12,
        bounds=([0, 0, -3, 0.02], [np.inf, np.inf, 3, 6]),
    )  # fmt: skip
    assert law.loss == pytest.approx(of_scipy.cost, rel=1e-4)
    assert law.theta == pytest.approx(of_scipy.x, rel=0.05, abs=5e-3)


def test_few_wrong_losses_hardly_move_a_fit() -> None:
    points = drawn(noise=0.02)
    points.y_sn[:, :2] *= 3
    law = fit(points)
    assert law is not None
    assert law.theta[PHI] == pytest.approx(0.46, abs=0.1)


@pytest.mark.parametrize(
    "name", ["24 candidates, 5 seeds with slopes", "8 depths, 5 seeds with slopes"]
)
def test_intervals_cover_a_known_law(name: str) -> None:
    for parameter in scaling_recovery.recovered(scaling_recovery.LAWS[name], 12, seed=1).values():
        assert parameter["covers"] >= 10 / 12
        assert parameter["width"] < 0.6 * parameter["truth"]


def test_the_best_depth_and_the_slope_cover() -> None:
    assert scaling_recovery.best_depth(60, 1, 0.5)["covers"] >= 0.9
    assert scaling_recovery.doubled(200, 1, 3)["covers"] == pytest.approx(0.95, abs=0.05)
    assert scaling_recovery.doubled(200, 5, 2)["covers"] == pytest.approx(0.95, abs=0.05)
    assert scaling_recovery.doubled(200, 20, 5)["covers"] == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize("seeds", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("shared", [{}, scaling_recovery.OWN], ids=["noise", "slopes"])
def test_nothing_is_claimed_of_what_seeds_share(seeds: int, shared: dict[str, float]) -> None:
    rest = {"gain": 0.0, "misfit": 0.0, "noise": 0.01, **shared}
    nothing = scaling_recovery.Law(12, seeds, **rest)
    assert scaling_recovery.claimed(nothing, 100)["law"] <= 0.05
    depths = scaling_recovery.Law(8, seeds, depth=True, **rest)
    claims = scaling_recovery.claimed(depths, 200)
    assert claims["law"] <= 0.05
    assert claims["doubling"] <= 0.08


def test_a_true_law_is_claimed() -> None:
    true = scaling_recovery.Law(12, 3, **scaling_recovery.OWN)
    assert scaling_recovery.claimed(true, 20)["law"] >= 0.9
    assert scaling_recovery.differ(3, (0.0, 1.0), 5) == 1
    assert scaling_recovery.differ(6, (0.46, 0.46), 5) <= 1 / 6


def test_seeds_widen_intervals_and_never_narrow_them() -> None:
    points = drawn(noise=0.03, misfit=0.02)
    alone = Points(np.repeat(points.y_n[None], 3, axis=0), points.runs_r, points.sizes_rn, True)
    shared = Points(
        points.y_sn * (points.sizes_rn.sum(0) / 1e5) ** np.array([[-0.1], [0.0], [0.1]]),
        points.runs_r, points.sizes_rn, True,
    )  # fmt: skip
    widths = []
    for variant in (alone, points, shared):
        law = fit(variant)
        assert law is not None
        alpha = estimate(law, ALPHA, Bootstraps.draw(law))
        assert alpha.low is not None
        assert alpha.high is not None
        widths.append(alpha.high - alpha.low)
    assert widths[0] <= widths[1] < widths[2]
    single_seed = fit(Points(points.y_sn[:1], points.runs_r, points.sizes_rn, True))
    assert single_seed is not None
    assert estimate(single_seed, ALPHA, Bootstraps.draw(single_seed)).is_open


def test_an_end_of_the_box_is_no_estimate() -> None:
    points = drawn()
    law = points.sizes_rn.sum(0) ** -7.0
    steep = Points(np.tile(law / law.mean(), (2, 1)), points.runs_r, points.sizes_rn, True)
    steepest = fit(steep, 0.0)
    assert steepest is not None
    assert steepest.theta[ALPHA] == 6
    alpha = estimate(steepest, ALPHA, Bootstraps.draw(steepest))
    assert alpha.value is None
    assert alpha.high is None
    assert _number(alpha).startswith("not estimated")


def test_seeds_that_not_all_candidates_have_do_not_count() -> None:
    trained = {str(i): {0: 1.0, 1: 1.0} | ({2: 1.0} if i < 3 else {}) for i in range(10)}
    names, seeds = block(trained, 8)
    assert (len(names), seeds) == (10, [0, 1])
    assert block({"a": {0: 1.0}, "b": {0: 1.0, 1: 1.0}}, 2) == (["a", "b"], [0])
    assert block({}, 8) == ([], [])


@pytest.mark.parametrize("kind", range(8))
@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_singular_fit_moves_nowhere(kind: int, seeds: int) -> None:
    rng = np.random.default_rng([kind, seeds])
    depths = np.tile(2.0 ** np.arange(8), (1, 1))
    y = np.ones((seeds, 8))
    if kind == 1:
        y[:, 0], y[:, 1:] = 0.01, 0
    elif kind == 2:
        y = 10.0 ** rng.uniform(-300, 300, y.shape)
    elif kind == 3:
        y = np.zeros_like(y)
    elif kind == 4:
        y = 1e-300 * rng.random(y.shape)
    elif kind == 5:
        y = 1e300 * depths[0] ** -0.5 * rng.random(y.shape)
    elif kind == 6:
        y = np.exp(-depths[0]) + 0 * y
    elif kind == 7:
        y[:, 0] = 1e200
    for relative in (False, True) if y.min() > 0 else (False,):
        points = Points(y, np.ones(1), depths, relative)
        slope(points, np.log2(depths[0]))
        for phi in (0.0, None):
            law = fit(points, phi)
            assert law is not None
            assert np.isfinite(law.theta).all()
            depends(law)
            bootstraps = Bootstraps.draw(law, count=10)
            for place in (E, ALPHA):
                ends = vars(estimate(law, place, bootstraps)).values()
                assert all(end is None or np.isfinite(end) for end in ends)


def test_loops_that_are_all_the_same_tell_no_phi() -> None:
    points = drawn(noise=0.03)
    looped = points.sizes_rn.sum(0)
    sizes = np.array([0.1 * looped, looped])
    same = Points(points.y_sn, np.array([1.0, 4.0]), sizes, relative=True)
    law = fit(same)
    assert law is not None
    phi = estimate(law, PHI, Bootstraps.draw(law))
    assert phi.low is None
    assert phi.high is None


SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: LOOPS}
  stages.*.width: {choices: [16, 24, 32, 48]}
  stages.*.mlp_ratio: {choices: [1, 2, 4]}
"""
DEPTHS = "architecture: sret_digits\naxes:\n  stages.*.loops: {choices: LOOPS}\n"
STUDY = "study: made_up\nspace: space.yaml\nsearch: {sampler: grid, seeds: SEEDS}\n"


def by_law(entry: TrialRecord) -> dict:
    """What a law gives, with noise."""
    sizes = params_by_runs(entry.architecture)
    m = sum(r**0.5 * n for r, n in sizes.items())
    noise = np.random.default_rng([entry.seed, entry.cost["params"], entry.cost["executions"]])
    loss = (0.1 + 0.3 * (m / 1e4) ** -0.4) * np.exp(0.02 * noise.normal())
    return made_up.complete(1 - loss / 2, val_loss=float(loss))


def results(
    loops: str,
    result: Callable[[TrialRecord], dict],
    seeds: int = 1,
    most: int = 1000,
    name: str = "one",
) -> Results:
    text = STUDY.replace("SEEDS", str(seeds)).replace("made_up", name)
    made = made_up.written(SPACE.replace("LOOPS", loops), text)
    return Results.read(made_up.run(made, result, most))


@pytest.mark.usefixtures("here")
def test_a_study_says_what_a_loop_is_worth() -> None:
    laws = scaling(results("[1, 2, 4, 8, 16]", by_law, seeds=3))
    facts = json.loads(json.dumps(laws.facts, allow_nan=False))
    phi = facts["recurrence"]["phi"]
    assert phi["low"] <= 0.5 <= phi["high"]
    assert phi["high"] - phi["low"] < 0.3
    assert phi["low"] > 0
    assert phi["high"] < 1
    assert facts["recurrence"]["held_out"]["error"]["fitted"] < 0.05
    # The same weights at five depths, in families that width and MLP tell apart.
    accuracy, loss = facts["saturations"]
    assert (accuracy["families"], accuracy["candidates"]) == (12, 60)
    assert accuracy["doubling"]["low"] > 0 > loss["doubling"]["high"]
    assert accuracy["beta"]["value"] > 0
    # Loops cost no parameters, so that each budget of parameters has every depth.
    assert {len(iso_slice["depths"]) for iso_slice in facts["iso_params"]} == {5}
    last = facts["iso_params"][-1]
    assert last["best"] > last["depths"][0]["executions"]
    for iso_slices in (laws.params, laws.macs):
        assert all(iso_slice.high <= iso_slice.low * (1 + TOLERANCE) for iso_slice in iso_slices)
        assert all(
            iso_slice.high < after.low for iso_slice, after in itertools.pairwise(iso_slices)
        )
    page_text = " ".join(sentences(laws))
    assert "A loop is worth φ = 0." in page_text
    assert "excludes φ = 0 (loops are worth nothing) and φ = 1" in page_text
    assert "predicts larger budgets worse" not in page_text
    # A law that forecasts worse than none is not named without that.
    law = laws.recurrence
    assert law is not None
    assert law.held_out is not None
    worse = replace(law.held_out, error=law.held_out.error | {"fitted": 0.55, "0": 0.34})
    laws = replace(laws, recurrence=replace(law, held_out=worse))
    assert "55 % with φ fitted to the others, and 34 % with φ = 0" in headlines(laws)[0]
    # Nor is an estimate that lies on an end of what was tried.
    edge = replace(law, phi=Estimate(None, None, -0.77))
    edge_text = " ".join(sentences(replace(laws, recurrence=edge)))
    assert "A loop is worth" not in edge_text
    assert "φ (the best fit lies at an end of the tried range" in edge_text
    assert charts(replace(laws, recurrence=edge))[0] is None
    assert "a law of fixed data" in page_text
    drawn = [chart for chart in charts(laws) if chart is not None]
    assert {chart.name for chart in drawn} >= {
        "law_of_recurrence", "saturation", "best_depth", "depth_at_equal_params",
    }  # fmt: skip
    for chart in drawn:
        text = json.dumps(plotly.figure(chart))
        assert "NaN" not in text
        assert all(panel.x.label and panel.y.label for panel in chart.panels)


@pytest.mark.usefixtures("here")
def test_elastic_trainings_are_not_of_the_law() -> None:
    space = (
        SPACE.replace("LOOPS", "[2, 4]") + "  recipe.depth_training: {choices: [fixed, mixed]}\n"
    )
    made = made_up.written(space, STUDY.replace("SEEDS", "2"))

    def worse_where_elastic(entry: TrialRecord) -> dict:
        outcome = by_law(entry)
        return outcome | {
            "val_loss": outcome["val_loss"] * (3 if entry.job.recipe.is_elastic else 1)
        }

    law = scaling(Results.read(made_up.run(made, worse_where_elastic))).recurrence
    assert law is not None
    assert len(law.trained) == 24
    assert law.scatter < 0.05


@pytest.mark.usefixtures("here")
def test_a_law_that_is_not_identifiable_is_said_to_be_so() -> None:
    laws = scaling(results("[4]", by_law, seeds=2))
    text = " ".join(sentences(laws))
    assert "Not identifiable from these candidates: φ" in text
    assert "A loop is worth" not in text
    assert not laws.saturations
    text = " ".join(sentences(scaling(results("[1]", by_law, seeds=3, name="two"))))
    assert "φ, since no candidate runs any weights twice" in text


@pytest.mark.usefixtures("here")
def test_one_seed_and_one_size_have_no_law() -> None:
    laws = scaling(results("[1, 2, 4, 8]", by_law))
    assert laws.recurrence is None
    assert laws.without == "one seed"
    assert all(
        saturation.fit is None and saturation.doubling.is_open for saturation in laws.saturations
    )
    texts = sentences(laws)
    assert "With one seed, its effect cannot be separated" in texts[0]
    assert "with one seed, it is unknown whether other seeds would show the same" in texts[1]
    space = DEPTHS.replace("LOOPS", "[1, 2, 4, 8, 16, 32, 64, 128]")
    made = made_up.written(space, STUDY.replace("SEEDS", "3").replace("made_up", "two"))
    laws = scaling(Results.read(made_up.run(made, by_law)))
    assert laws.recurrence is None
    assert "fewer than three sizes" in sentences(laws)[0]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("seeds", [1, 3])
def test_one_wrong_image_is_no_law(seeds: int) -> None:
    space = DEPTHS.replace("LOOPS", "[1, 2, 4, 8, 16, 32, 64, 128]")
    made = made_up.written(space, STUDY.replace("SEEDS", str(seeds)))

    def nearly_perfect(entry: TrialRecord) -> dict:
        wrong = entry.values["stages.*.loops"] == 1 and entry.seed == made.file.search.seed
        return made_up.complete(1 - wrong / 360, val_loss=0.01 + 0.02 * wrong)

    laws = scaling(Results.read(made_up.run(made, nearly_perfect)))
    assert all(saturation.fit is None for saturation in laws.saturations)
    json.dumps(laws.facts, allow_nan=False)
    assert not any("better:" in sentence or "saturates" in sentence for sentence in sentences(laws))


@pytest.mark.usefixtures("here")
def test_nothing_is_said_where_there_is_nothing() -> None:
    def chance(entry: TrialRecord) -> dict:
        noise = np.random.default_rng([entry.number, 1])
        return made_up.complete(0.9 + 0.01 * noise.normal(), val_loss=float(np.exp(noise.normal())))

    assert scaling(results("[1, 2, 4]", chance)).recurrence is None
    laws = scaling(results("[1, 2, 4]", chance, most=3, name="two"))
    assert sentences(laws) == []
    assert [chart for chart in charts(laws) if chart is not None] == []
    assert laws.facts["iso_params"] == []


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(700, 990), st.integers(1, 3)),
        min_size=4, max_size=20,
    )
)  # fmt: skip
def test_a_slice_holds_its_best_depth_for_possible(rows: list[tuple[int, int, int]]) -> None:
    depths, accuracies, seeds = np.array(rows).T
    table = pd.DataFrame({
        "candidate": [str(i) for i in range(len(rows))], "val_accuracy": accuracies / 1000,
        "seeds": seeds, "params": 10, "executions": depths,
    })  # fmt: skip
    trials = table.loc[table.index.repeat(seeds)]
    alike = np.full(len(trials), 0.9)
    iso_slice = slice_of(
        table,
        "params",
        Variances.from_accuracies(
            trials.candidate, trials.groupby("candidate").cumcount(), alike, 500
        ),
    )
    best = iso_slice.best
    assert best.may_be_best
    assert best.accuracy == max(accuracies) / 1000
    assert iso_slice.interval[0] <= best.executions <= iso_slice.interval[1]
    assert [depth.executions for depth in iso_slice.depths] == sorted(set(depths))
    assert sum(depth.candidates for depth in iso_slice.depths) == len(rows)


def test_depth_that_is_not_used_is_a_finding() -> None:
    interval = (0.9, 0.91)

    def depth(executions: int, below_p: float | None, p_holm: float = 0.3) -> Depth:
        gain = Comparison(0.005, (0.0, 0.01), 3, None, p_holm, p_holm, 3)
        return Depth(
            executions, 3, below_p is None, 0.9, interval, 0.9, interval, gain=gain, below_p=below_p
        )

    reference, open_ = depth(16, None), depth(64, 0.06)
    # A gain that was found is none that is not used, small as it may be.
    assert unused_sentences([reference, open_, depth(32, 0.01, p_holm=0.01)]) == []
    (sentence,) = unused_sentences([reference, open_, depth(128, 0.04)])
    assert sentence.startswith(
        "Depth not used at 128 executions: training there gains less than 1 point"
    )
