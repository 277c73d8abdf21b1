"""The best, the knee and the smallest near the best, of made-up studies."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import complete, run, written

from sret_search.pareto import pareto
from sret_search.reporting.recommendation import Answer, answer, export_command, knee
from sret_search.reporting.results import Results
from sret_search.study import Study
from sret_search.trials.trial import TrialRecord

SPACE = """\
architecture: sret_digits
axes:
  stages.*.mlp_ratio: {choices: [1, 1.5, 2, 3, 4]}
  stages.*.loops: {choices: [1, 2]}
"""
STUDY = "study: made_up\nspace: space.yaml\n"


pytestmark = pytest.mark.usefixtures("here")


REACHED = {1: 0.70, 1.5: 0.86, 2: 0.90, 3: 0.915, 4: 0.92}


def saturating(entry: TrialRecord) -> dict[str, Any]:
    """Much from the first parameters, little from the last; loops do harm."""
    ratio, loops = entry.values["stages.*.mlp_ratio"], entry.values["stages.*.loops"]
    return complete(REACHED[ratio] - 0.05 * (loops == 2) + 0.001 * entry.seed)


def answered(made: Study) -> Answer:
    recommended = answer(Results.read(made))
    assert recommended is not None
    return recommended


def ratio(choice: Any) -> float:
    return choice.values["stages.*.mlp_ratio"]


def test_best_knee_and_smallest_are_told_apart() -> None:
    made = run(written(SPACE, STUDY + "search: {seeds: 2}\n"), saturating)
    recommended = answered(made)
    assert (ratio(recommended.best), ratio(recommended.knee), ratio(recommended.smallest)) == (
        4,
        1.5,
        3,
    )
    assert recommended.best.accuracy == pytest.approx(0.9205)  # a mean, not its better seed
    assert recommended.best.interval[0] < 0.9205 < recommended.best.interval[1]
    assert recommended.smallest.behind == pytest.approx(-0.005)
    low, high = recommended.smallest.behind_interval
    assert low < -0.01 < 0 < high, "two seeds are not certain, though they agree to the last image"
    assert (low + high) / 2 == pytest.approx(-0.005)
    assert (recommended.best.behind, recommended.best.test) == (None, None)
    assert (recommended.among, recommended.is_confirmed) == (10, False)
    trial = Results.read(made).entries[recommended.best.trial]
    assert (trial.candidate, trial.seed) == (recommended.best.candidate, 0)
    assert export_command(made.path, recommended.best) == (
        f"sret-search export study.yaml --trial {recommended.best.trial}"
        f" --out exported/{recommended.best.candidate}"
    )
    assert recommended.best.architecture["stages"][0]["mlp_ratio"] == 4


def test_a_candidate_that_lost_a_seed_is_not_recommended() -> None:
    def result(entry: TrialRecord) -> dict[str, Any]:
        if entry.values["stages.*.mlp_ratio"] == 4 and entry.seed == 1:
            return {"state": "diverged", "reason": "the loss became nan"}
        return saturating(entry)

    made = run(written(SPACE, STUDY + "search: {seeds: 2}\n"), result)
    assert ratio(answered(made).best) == 3


def test_fresh_seeds_decide_once_all_are_there() -> None:
    """The largest was lucky with the seed that chose it."""

    def result(entry: TrialRecord) -> dict[str, Any]:
        lucky = entry.values["stages.*.mlp_ratio"] == 4 and entry.role == "confirmation"
        outcome = saturating(entry)
        return outcome | {"val_accuracy": outcome["val_accuracy"] - 0.1 * lucky}

    text = f"{STUDY}confirm: {{seeds: 2}}\n"
    half = answered(run(written(SPACE, text), result, most=10))
    assert (ratio(half.best), half.is_confirmed, half.best.test) == (4, False, None)
    Path("runs/made_up/study.db").unlink()
    recommended = answered(run(written(SPACE, text), result))
    assert (ratio(recommended.best), recommended.is_confirmed, recommended.best.seeds) == (
        3,
        True,
        2,
    )
    assert recommended.among == 5
    assert recommended.best.test is not None
    assert recommended.best.trial >= 10


def test_there_is_no_answer_without_a_complete_trial() -> None:
    made = run(written(SPACE, STUDY), lambda entry: {"state": "failed", "reason": "no"}, most=3)
    assert answer(Results.read(made)) is None


def test_of_candidates_that_cost_the_same_the_smallest_is_the_most_accurate() -> None:
    space = "architecture: sret_digits\naxes: {recipe.lr: {choices: [1e-3, 2e-3, 4e-3]}}\n"
    made = run(written(space, STUDY), lambda entry: complete(0.9 + entry.values["recipe.lr"]))
    recommended = answered(made)
    assert recommended.best == recommended.smallest
    assert recommended.best.accuracy == pytest.approx(0.904)


def test_one_candidate_is_best_and_smallest_and_no_knee() -> None:
    recommended = answered(run(written(SPACE, STUDY), saturating, most=1))
    assert recommended.best == recommended.smallest
    assert recommended.knee is None
    assert list(recommended.choices) == ["best", "smallest"]


FRONTS = st.lists(
    st.tuples(st.integers(0, 1000).map(lambda a: a / 1000), st.integers(1, 10**6)),
    min_size=1, max_size=30,
)  # fmt: skip


@given(FRONTS, st.floats(0.01, 100), st.floats(-5, 5), st.integers(2, 9))
def test_the_knee_is_farthest_from_the_chord_on_any_scale(
    points: list[tuple[float, int]], scale: float, shift: float, times: int
) -> None:
    accuracies, params = np.array(points).T
    bend, on_front = knee(accuracies, params), pareto(accuracies, params)
    front = sorted({(float(np.log(params[i])), accuracies[i]) for i in np.flatnonzero(on_front)})
    (x0, y0), (x1, y1) = front[0], front[-1]
    length = np.hypot(x1 - x0, y1 - y0)
    far = [((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / (length or 1) for x, y in front]
    if bend is None:
        assert max(far) < 1e-6
        return
    assert on_front[bend]
    place = front.index((np.log(params[bend]), accuracies[bend]))
    assert far[place] == pytest.approx(max(far))
    assert 0 < place < len(front) - 1
    moved = knee(accuracies * scale + shift, params**times)
    assert moved is None or far[
        front.index((np.log(params[moved]), accuracies[moved]))
    ] == pytest.approx(max(far))


def test_a_convex_front_has_no_knee() -> None:
    assert knee([0.1, 0.2, 0.9], [10, 100, 1000]) is None
    assert knee([0.1, 0.8, 0.9], [10, 100, 1000]) == 1
    assert knee([0.5, 0.5], [10, 10]) is None
