"""Arms that are no loops, and elastic candidates, of made-up studies."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sret_search.job import Job
from sret_search.reporting.write import write_report
from sret_search.study import Study, load_study
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial_result import TrialResult

SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages: [{width: 16, heads: 1, unique: 2, loops: 3}]
  nll: {share: none}
axes:
"""
ELASTIC = """\
  recipe.depth_training: {choices: [fixed, sandwich]}
  stages.*.loops: {choices: [1, 2, 3], when: {recipe.depth_training: [fixed]}}
  recipe.epochs: {choices: [10, 20], when: {recipe.depth_training: [fixed], stages.*.loops: [3]}}
"""
TWO_ARMS = "  recipe.depth_training: {choices: [fixed, mixed]}\n"
ARMS = "arms: {axis: recipe.depth_training, reference: fixed}\n"


pytestmark = pytest.mark.usefixtures("here")


def study(axes: str, seeds: int, extra: str = ARMS) -> Study:
    Path("space.yaml").write_text(SPACE + axes)
    Path("study.yaml").write_text(
        f"study: s\nspace: space.yaml\nsearch: {{sampler: grid, seeds: {seeds}}}\n{extra}"
    )
    return load_study(Path("study.yaml"))


def reported(made: Study, accuracy: Callable[[Job, int], float]) -> tuple[dict, str]:
    """Summary and page, where a job's weights run at so many executions reach this accuracy."""
    ledger = Ledger.create(made)
    for seed in range(made.file.search.seeds):
        for candidate in made.grid:
            job = made.job(candidate, seed, "cpu")
            entry = ledger.begin(job, candidate.values, 1258)
            reached = accuracy(job, job.architecture.executions)
            reruns = [
                {"executions": a.executions, "val_accuracy": 0.5, "val_loss": 1.0, "test_accuracy": accuracy(job, a.executions)}
                for a in job.reruns
            ]  # fmt: skip
            ledger.tell(entry, TrialResult.from_dict({
                "state": "complete", "val_accuracy": 0.5, "val_loss": 1.0,
                "test_accuracy": reached, "epochs": 10, "seconds": 1.0, "reruns": reruns,
                "history": [], "environment": {},
            }))  # fmt: skip
    page = write_report(made).read_text()
    return json.loads((made.report_folder / "summary.json").read_text()), page


def test_arms_are_paired_by_seed_with_the_reference() -> None:
    def accuracy(job: Job, executions: int) -> float:
        gain = {"fixed": 0.0, "mixed": [0.01, 0.02, 0.03][job.seed]}[job.recipe.depth_training.kind]
        # Seeds spread far more than the arms differ: only pairs show it.
        return 0.5 + 0.1 * job.seed + gain

    summary, page = reported(study(TWO_ARMS, seeds=3), accuracy)
    arms = {arm["name"]: arm for arm in summary["arms"]}
    assert arms["fixed"]["is_reference"]
    assert arms["fixed"]["difference"] is None
    assert arms["mixed"]["difference"] == pytest.approx(0.02)
    # t of 2 degrees of freedom at 97.5 % is 4.303; the standard error 0.01 / √3.
    half = 4.303 * 0.01 / 3**0.5
    assert arms["mixed"]["difference_interval"] == pytest.approx(
        [0.02 - half, 0.02 + half], abs=1e-5
    )
    assert arms["mixed"]["train_macs"] > arms["fixed"]["train_macs"]
    assert "mixed made no measurable difference against fixed" in page


def test_arms_that_are_mappings_are_named_in_words() -> None:
    axes = "  recipe.distill: {choices: [null, {teacher: trial 7}]}\n"
    arms = "arms: {axis: recipe.distill, reference: null}\n"
    summary, page = reported(study(axes, seeds=2, extra=arms), lambda job, executions: 0.9)
    assert {arm["name"] for arm in summary["arms"]} == {"none", "teacher trial 7"}
    assert "teacher trial 7 made no measurable difference against none" in page


def test_a_clear_difference_of_arms_is_called_one() -> None:
    def accuracy(job: Job, executions: int) -> float:
        worse = job.recipe.depth_training.kind == "mixed"
        return 0.9 - 0.001 * job.seed - (0.05 + 0.001 * job.seed) * worse

    _, page = reported(study(TWO_ARMS, seeds=3), accuracy)
    assert "mixed lost against fixed" in page


def elastic_accuracy(job: Job, executions: int) -> float:
    """Trained alone, better the deeper and the longer; elastic, a point less at two executions."""
    if job.recipe.is_elastic:
        return 0.90 + executions / 1000 - 0.01 * (executions == 2) - 0.0001 * job.seed
    return 0.90 + executions / 1000 + 0.002 * (job.recipe.length == 20)


def test_an_elastic_candidate_stands_beside_each_depth_alone(drawn: None) -> None:
    summary, page = reported(study(ELASTIC, seeds=2), elastic_accuracy)
    (elastic,) = summary["elastics"]
    assert (elastic["mode"], elastic["part"], elastic["seeds"]) == ("sandwich", "test", 2)
    assert [rung["executions"] for rung in elastic["rungs"]] == [2, 4, 6]
    assert [rung["alone"] for rung in elastic["rungs"]] == pytest.approx([0.902, 0.904, 0.906])
    gaps = [rung["gap"] for rung in elastic["rungs"]]
    assert gaps == pytest.approx([-0.01005, -0.00005, -0.00005])
    low, high = elastic["rungs"][0]["gap_interval"]
    assert low < gaps[0] < high < 0
    # 3 + 1 + 2 loops in a step of the sandwich are, but for stem and head, twice 3.
    assert elastic["cost"] == pytest.approx(2, rel=0.1)
    assert elastic["rival"]["gap"] == pytest.approx(-0.00205)
    assert summary["elastics"][0]["trained_depths"] == 3
    assert [rung["tests"] for rung in [*elastic["rungs"], elastic["rival"]]] == [4] * 4
    # The standard deviations of the gaps are less than a quarter of an image on each side.
    assert [rung["verdict"] for rung in elastic["rungs"]] == ["no measurable difference"] * 3
    assert "One model trained at 3 depths (sandwich), for 2" in page
    assert "-1.0 to +0.0 points at 2, 4 and 6 executions: no measurable difference" in page
    assert "alone for equal multiply-adds" in page
    assert (Path("reports/s") / "accuracy_elastic.png").stat().st_size > 10_000


def test_undeclared_elastic_candidates_show_validation_alone() -> None:
    summary, page = reported(study(ELASTIC, seeds=1, extra=""), elastic_accuracy)
    (elastic,) = summary["elastics"]
    assert elastic["part"] == "val"
    assert [rung["accuracy"] for rung in elastic["rungs"]] == [0.5, 0.5, 0.5]
    assert "Test accuracy is not shown" in page


def test_an_elastic_candidate_may_stand_alone() -> None:
    axes = "  recipe.depth_training: {choices: [sampled]}\n"
    summary, page = reported(study(axes, seeds=1, extra=""), elastic_accuracy)
    (elastic,) = summary["elastics"]
    assert elastic["rival"] is None
    assert [rung["gap"] for rung in elastic["rungs"]] == [None] * 3
    assert "at its greatest depth" in page
