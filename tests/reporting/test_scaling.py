"""Laws are found again, intervals cover, what cannot be known is said; slices are of equal cost."""

import itertools
import json
from collections.abc import Callable

import made_up
import numpy as np
import pandas as pd
import pytest
import scaling_recovery
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from sret_search.architecture import Architecture
from sret_search.cost import params_by_runs
from sret_search.reporting.charts import plotly
from sret_search.reporting.charts.scaling import charts
from sret_search.reporting.depth import Depth
from sret_search.reporting.results import Results
from sret_search.reporting.scaling import scaling
from sret_search.reporting.scaling.fit import fit
from sret_search.reporting.scaling.interval import Bootstraps, estimate
from sret_search.reporting.scaling.law import ALPHA, PHI, A, E, Points
from sret_search.reporting.scaling.sentences import sentences, unused_depth
from sret_search.reporting.slices import TOLERANCE, slice_of
from sret_search.reporting.variances import Variances
from sret_search.search.entry import Entry

LAW = scaling_recovery.Law(30, 3, phi=0.46, alpha=0.35, e=0.25, noise=0.0, misfit=0.0)


def drawn(**changes: float) -> Points:
    law = scaling_recovery.Law(**(vars(LAW) | changes))
    return law.draw(np.random.default_rng(1))


def test_a_law_without_noise_is_found_exactly() -> None:
    found = fit(drawn())
    assert found is not None
    assert found.theta[[E, PHI, ALPHA]] == pytest.approx([0.25, 0.46, 0.35], abs=1e-4)
    assert found.theta[A] * found.centre ** found.theta[ALPHA] == pytest.approx(
        0.5 * 1e5**0.35, rel=1e-2
    )


def test_a_fit_is_the_optimum_that_scipy_finds() -> None:
    points = drawn(noise=0.1)
    found = fit(points)
    assert found is not None
    other = optimize.least_squares(
        lambda theta: points.residuals(theta[None], found.centre)[0][0],
        [0.2, 0.5, 0.4, 0.4], loss="huber", f_scale=found.delta, xtol=1e-12, ftol=1e-12,
        bounds=([0, 0, -3, 0.02], [np.inf, np.inf, 3, 6]),
    )  # fmt: skip
    assert found.loss == pytest.approx(other.cost, rel=1e-4)
    assert found.theta == pytest.approx(other.x, rel=0.05, abs=5e-3)


def test_few_wrong_losses_hardly_move_a_fit() -> None:
    points = drawn(noise=0.02)
    points.y_n[:2] *= 3
    found = fit(points)
    assert found is not None
    assert found.theta[PHI] == pytest.approx(0.46, abs=0.1)


@pytest.mark.parametrize("name", ["24 candidates, 3 seeds", "10 depths, 3 seeds"])
def test_intervals_cover_a_known_law(name: str) -> None:
    for parameter in scaling_recovery.recovered(scaling_recovery.LAWS[name], 12, seed=1).values():
        assert parameter["covers"] >= 10 / 12
        assert parameter["width"] < 0.6 * parameter["truth"]


def test_the_best_depth_and_the_slope_cover() -> None:
    assert scaling_recovery.best_depth(60, 1, 0.5)["covers"] >= 0.9
    assert scaling_recovery.slope(200, 1)["covers"] == pytest.approx(0.95, abs=0.05)
    assert scaling_recovery.slope(200, 5)["covers"] == pytest.approx(0.95, abs=0.05)
    assert scaling_recovery.slope(200, 20)["covers"] == pytest.approx(0.95, abs=0.05)


def test_loops_that_are_all_the_same_tell_no_phi() -> None:
    points = drawn(noise=0.03)
    looped = points.sizes_rn.sum(0)
    sizes = np.array([0.1 * looped, looped])
    same = Points(points.y_n, np.array([1.0, 4.0]), sizes, relative=True)
    found = fit(same)
    assert found is not None
    phi = estimate(found, PHI, Bootstraps.of(found))
    assert phi.low is None
    assert phi.high is None


SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: LOOPS}
  stages.*.width: {choices: [16, 24, 32, 48]}
  stages.*.mlp_ratio: {choices: [1, 2, 4]}
"""
STUDY = "study: made_up\nspace: space.yaml\nsearch: {sampler: grid, seeds: SEEDS}\n"


def by_law(entry: Entry) -> dict:
    """What a law gives, with noise."""
    sizes = params_by_runs(Architecture.from_dict(entry.plain["architecture"]))
    m = sum(r**0.5 * n for r, n in sizes.items())
    noise = np.random.default_rng([entry.seed, entry.cost["params"], entry.cost["executions"]])
    loss = (0.1 + 0.3 * (m / 1e4) ** -0.4) * np.exp(0.02 * noise.normal())
    return made_up.complete(1 - loss / 2, val_loss=float(loss))


def results(
    loops: str, result: Callable[[Entry], dict], seeds: int = 1, most: int = 1000, name: str = "one"
) -> Results:
    text = STUDY.replace("SEEDS", str(seeds)).replace("made_up", name)
    made = made_up.written(SPACE.replace("LOOPS", loops), text)
    return Results.read(made_up.run(made, result, most))


@pytest.mark.usefixtures("here")
def test_a_study_says_what_a_loop_is_worth() -> None:
    found = scaling(results("[1, 2, 4, 8, 16]", by_law, seeds=2))
    facts = json.loads(json.dumps(found.facts))
    phi = facts["recurrence"]["phi"]
    assert phi["low"] <= 0.5 <= phi["high"]
    assert phi["high"] - phi["low"] < 0.3
    assert min(facts["recurrence"]["bic"], key=facts["recurrence"]["bic"].get) == "fitted"
    assert facts["recurrence"]["held_out"]["error"]["fitted"] < 0.05
    # The same weights at five depths, in families that width and MLP tell apart.
    accuracy, loss = facts["saturations"]
    assert (accuracy["families"], accuracy["candidates"]) == (12, 60)
    assert accuracy["doubling"]["low"] > 0 > loss["doubling"]["high"]
    assert accuracy["beta"]["value"] > 0
    # Loops cost no parameters, so that each budget of parameters has every depth.
    assert {len(one["depths"]) for one in facts["iso_params"]} == {5}
    last = facts["iso_params"][-1]
    assert last["best"] > last["depths"][0]["executions"]
    for own in (found.params, found.macs):
        assert all(one.high <= one.low * (1 + TOLERANCE) for one in own)
        assert all(one.high < after.low for one, after in itertools.pairwise(own))
    said = " ".join(sentences(found))
    assert "A loop is worth φ = 0." in said
    assert "a law of fixed data" in said
    drawn = [chart for chart in charts(found) if chart is not None]
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
    made = made_up.written(space, STUDY.replace("SEEDS", "1"))

    def worse_where_elastic(entry: Entry) -> dict:
        found = by_law(entry)
        return found | {"val_loss": found["val_loss"] * (3 if entry.job.recipe.is_elastic else 1)}

    law = scaling(Results.read(made_up.run(made, worse_where_elastic))).recurrence
    assert law is not None
    assert len(law.trained) == 24
    assert law.scatter < 0.05


@pytest.mark.usefixtures("here")
def test_a_law_that_is_not_identifiable_is_said_to_be_so() -> None:
    found = scaling(results("[4]", by_law))
    said = " ".join(sentences(found))
    assert "Not identifiable from these candidates: φ" in said
    assert "A loop is worth" not in said
    assert not found.saturations
    said = " ".join(sentences(scaling(results("[1]", by_law, name="two"))))
    assert "φ, since no candidate runs any weights twice" in said


@pytest.mark.usefixtures("here")
def test_nothing_is_said_where_there_is_nothing() -> None:
    def chance(entry: Entry) -> dict:
        noise = np.random.default_rng([entry.number, 1])
        return made_up.complete(0.9 + 0.01 * noise.normal(), val_loss=float(np.exp(noise.normal())))

    assert scaling(results("[1, 2, 4]", chance)).recurrence is None
    few = scaling(results("[1, 2, 4]", chance, most=3, name="two"))
    assert sentences(few) == []
    assert [chart for chart in charts(few) if chart is not None] == []
    assert few.facts["iso_params"] == []


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
    one = slice_of(table, "params", Variances.of(trials.candidate, alike, 500))
    best = one.best
    assert best.may_be_best
    assert best.accuracy == max(accuracies) / 1000
    assert one.interval[0] <= best.executions <= one.interval[1]
    assert [at.executions for at in one.depths] == sorted(set(depths))
    assert sum(at.candidates for at in one.depths) == len(rows)


def test_depth_that_is_not_used_is_a_finding() -> None:
    sure = (0.9, 0.91)

    def depth(executions: int, gain: tuple[float, float] | None) -> Depth:
        mean = None if gain is None else sum(gain) / 2
        return Depth(
            executions, 3, gain is None, 0.9, sure, 0.9, sure, gain=mean, gain_interval=gain
        )

    none, better = depth(16, None), depth(64, (0.01, 0.03))
    assert unused_depth([none, better]) == []
    (said,) = unused_depth([none, better, depth(128, (-0.02, 0.004))])
    assert said.startswith("Depth not used at 128 executions")
    assert "+0.4 points at most" in said
