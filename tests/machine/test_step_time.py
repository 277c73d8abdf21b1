"""Predicted times: from points that are made up, so that what they were made of is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sret_search.architecture import NLL, Architecture, Stage
from sret_search.config.study_file import Compute
from sret_search.job import Recipe
from sret_search.machine import step_time
from sret_search.machine.hardware import hardware
from sret_search.machine.step_time import FILE, Point, StepTime
from sret_search.planning import duration
from sret_search.planning.calibration import varied
from sret_search.study import StudyError, load_study

IMAGES = 1258
SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 5, 11, 23, 52]}
"""
STUDY = """\
study: timed
space: space.yaml
recipe: {epochs: 2, batch_size: 64}
search: {sampler: grid, seeds: 2}
"""


pytestmark = pytest.mark.usefixtures("here")


def network(width: int, loops: int, unique: int = 2) -> Architecture:
    stage = Stage(width, heads=2, unique=unique, loops=loops, mlp_ratio=2.0)
    return Architecture(8, 1, 10, (1, 2), (stage,), nll=NLL("none"))


def measured(a: Architecture, recipe: Recipe, noise: float = 1.0) -> Point:
    """A point of a machine whose launches take 0.4 ms and multiply-adds 50 ps."""
    step, evaluation = seconds(a, recipe.batch_size)
    return Point(a, recipe, noise * step, 180, noise * evaluation)


def seconds(a: Architecture, images: int) -> tuple[float, float]:
    launches, macs = 4e-4 * 2 * a.executions, 5e-11 * step_time.cost(a).macs
    return 1e-3 + launches + images * macs, launches / 4 + 180 * macs / 3


def calibrated(points: list[Point]) -> StepTime:
    step_time.add(hardware(Compute()), points)
    known = StepTime.known()
    assert known is not None
    return known


RECIPE = Recipe(epochs=3, batch_size=64)
SEEN = [network(8, 1), network(16, 4), network(32, 50), network(24, 10), network(16, 100)]


def test_what_is_made_of_the_parts_is_predicted_between_and_beyond_the_points() -> None:
    known = calibrated([measured(a, RECIPE) for a in SEEN])
    steps, epochs = 20 * RECIPE.length, RECIPE.length
    for a in (network(8, 1), network(16, 30), network(48, 60), network(8, 250)):
        step, evaluation = seconds(a, 64)
        late = seconds(a, IMAGES - 19 * 64)[0]
        wanted = (steps - epochs) * step + epochs * late
        assert known.seconds(a, RECIPE, IMAGES) == pytest.approx(wanted, rel=0.05)
        assert known.evaluation(a, RECIPE, 180) == pytest.approx(evaluation, rel=0.05)


def test_noise_of_the_points_stays_as_small_in_what_is_predicted() -> None:
    noise = 1 + 0.05 * np.random.default_rng(0).standard_normal(len(SEEN))
    points = [measured(a, RECIPE, float(n)) for a, n in zip(SEEN, noise, strict=True)]
    known, a = calibrated(points), network(16, 30)
    step, _ = seconds(a, 64)
    assert known.seconds(a, replace(RECIPE, epochs=1), 20 * 64) == pytest.approx(20 * step, rel=0.1)


def test_recomputing_and_several_depths_take_longer() -> None:
    known = calibrated([measured(a, RECIPE) for a in SEEN])
    kept, deep = network(32, 40), network(32, 1000)
    ratio = known.seconds(deep, RECIPE, IMAGES) / known.seconds(kept, RECIPE, IMAGES)
    assert ratio > 1.05 * 1000 / 40
    mixed = replace(RECIPE, depth_training="mixed", depths=(40,))
    both = known.seconds(kept, mixed, IMAGES)
    assert both == pytest.approx(known.seconds(kept, RECIPE, IMAGES), rel=0.01)
    halved = replace(RECIPE, depth_training="mixed", depths=(20, 40))
    assert known.seconds(kept, halved, IMAGES) > 1.4 * both


def test_only_points_of_the_same_precision_count_where_there_are_any() -> None:
    bf16 = replace(RECIPE, precision="bf16")
    known = calibrated([measured(a, RECIPE) for a in SEEN] + [measured(a, bf16, 0.5) for a in SEEN])
    a = network(16, 30)
    assert known.seconds(a, bf16, IMAGES) < 0.6 * known.seconds(a, RECIPE, IMAGES)
    alone = calibrated([measured(a, RECIPE) for a in SEEN])
    compiled = replace(RECIPE, compile=True)
    assert alone.seconds(a, compiled, IMAGES) == alone.seconds(a, RECIPE, IMAGES)


def test_other_hardware_is_another_calibration() -> None:
    assert StepTime.known() is None
    calibrated([measured(a, RECIPE) for a in SEEN])
    assert StepTime.known(Compute(cpus_per_trial=2, concurrent=3)) is None
    guessed = StepTime.guessed()
    assert guessed.points == ()
    assert guessed.seconds(SEEN[0], RECIPE, IMAGES) > 0


def test_a_candidate_that_is_measured_again_replaces_what_was_known() -> None:
    step_time.add("a machine", [measured(SEEN[0], RECIPE)])
    calibrated([measured(a, RECIPE) for a in SEEN])
    known = calibrated([measured(a, RECIPE, 2.0) for a in SEEN])
    assert len(known.points) == len(SEEN)
    step, _ = seconds(SEEN[2], 64)
    one = replace(RECIPE, epochs=1)
    assert known.seconds(SEEN[2], one, 64) == pytest.approx(2 * step, rel=0.05)
    assert set(json.loads(FILE.read_text())) == {"a machine", hardware(Compute())}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"x": 3}', '{"x": [{}]}', '{"x": [{"step": 1}]}', "\x00\xff"]
)
def test_a_file_that_is_no_calibration_is_named(text: str) -> None:
    FILE.parent.mkdir()
    FILE.write_bytes(text.encode("latin-1"))
    with pytest.raises(
        StudyError, match=r"runs/calibration.json: not a calibration \(.+\); remove"
    ):
        StepTime.known()


def test_a_time_that_is_none_is_refused() -> None:
    step_time.add("x", [replace(measured(SEEN[0], RECIPE), step=0.0)])
    with pytest.raises(StudyError, match="not a calibration"):
        StepTime.known()


def test_what_is_measured_differs_as_much_as_can_be(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "study.yaml").write_text(STUDY)
    made = load_study(tmp_path / "study.yaml")
    chosen = [c.values["stages.*.loops"] for c in varied(made.grid, 3)]
    assert chosen[:2] == [52, 1]
    assert chosen[2] in (5, 11)
    assert len(varied(made.grid * 2, 20)) == 6


def test_a_study_takes_as_long_as_its_trials_on_so_many_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "study.yaml").write_text(STUDY)
    made = load_study(tmp_path / "study.yaml")
    known = calibrated([measured(a, RECIPE) for a in SEEN])
    each = [duration.trial_seconds(made, known, candidate) for candidate in made.grid]
    one, two, many = (duration.study_seconds(made, known, n) for n in (1, 2, 100))
    start = one.wall - 2 * sum(each)
    assert 5 < start < 30
    assert one.trials == two.trials == pytest.approx(2 * sum(each))
    # The costliest come first, then the others fill up; then all once more.
    assert sum(each) - 1e-9 <= two.wall - start < 1.2 * sum(each)
    assert many.wall - start == pytest.approx(max(each)) == pytest.approx(one.longest)
