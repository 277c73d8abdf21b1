"""Verdicts hold at the rate that they promise: families, one seed, bounds, and what is closed."""

import html
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from made_up import complete, run, written

from sret_search.reporting.analyses.arms import arms
from sret_search.reporting.analyses.contrasts.analysis import sentences as contrast_sentences
from sret_search.reporting.analyses.contrasts.numbers import contrasts
from sret_search.reporting.analyses.depth.analysis import sentences as depth_sentences
from sret_search.reporting.analyses.depth.numbers import BOUND, depths
from sret_search.reporting.analyses.elastic.analysis import sentence as elastic_sentence
from sret_search.reporting.analyses.elastic.numbers import elastics
from sret_search.reporting.analyses.twins import pairs
from sret_search.reporting.results import Results
from sret_search.reporting.statistics import paired, standard_error
from sret_search.reporting.statistics.standard_error import OverBoth, OverSeeds
from sret_search.reporting.statistics.verdict import CLOSED, ONE_SEED, Comparison, certainty, family
from sret_search.reporting.write import write_report
from sret_search.study import Study, load_study
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

pytestmark = pytest.mark.usefixtures("here")
IMAGES = 539


def over_seeds(*gains: float) -> Comparison:
    return Comparison.from_spread(float(np.mean(gains)), OverSeeds.from_differences(gains, 10_000))


def test_no_interval_of_a_difference_goes_beyond_100_points() -> None:
    assert over_seeds(0.99, 0.80, 0.95).interval == (pytest.approx(0.9133 - 0.2475, abs=2e-3), 1.0)
    assert over_seeds(-0.99, -0.80, -0.95).interval[0] == -1.0


NEAR = over_seeds(0.0100, 0.0125, 0.0205)
"""A difference with p between 0.025 and 0.05."""


def test_a_family_decides_by_the_corrected_p_alone() -> None:
    assert NEAR.p is not None
    assert NEAR.interval is not None
    assert 0.025 < NEAR.p < 0.05
    (alone,) = family([NEAR])
    assert alone.verdict == "better"
    first, second = family([NEAR, over_seeds(0.01, -0.01, 0.0)])
    assert (first.tests, first.p_holm) == (2, pytest.approx(2 * NEAR.p))
    assert first.interval is not None
    assert first.interval[0] > 0, "the interval is of this one alone"
    assert first.verdict == second.verdict == "no measurable difference"
    assert certainty(first, "arms").endswith("after Holm's correction over 2 arms")


def test_what_is_missing_counts_and_what_is_closed_does_not() -> None:
    for rest, missing in (([Comparison()], 0), ([Comparison(0.1, None, 1)], 0), ([], 1)):
        test = family([NEAR, *rest], missing)[0]
        assert (test.tests, test.sign) == (2, 0)
    test, closed = family([NEAR, replace(NEAR, is_closed=True)])
    assert (test.tests, test.verdict) == (1, "better")
    assert (closed.tests, closed.p_holm, closed.verdict) == (0, None, CLOSED)


def test_one_seed_gives_no_verdict() -> None:
    (test,) = family([Comparison(0.2, (0.1, 0.3), 1)])
    assert (test.sign, test.verdict) == (None, ONE_SEED)
    assert family([Comparison()])[0].verdict == "not complete"


def accuracies(rng: np.random.Generator, candidates: int, seeds: int, level: float) -> np.ndarray:
    """Test accuracies of candidates that are all alike: what seeds share, their own, and images."""
    shared, of_candidates = rng.normal(0, 0.008, seeds), rng.normal(0, 0.003, (candidates, seeds))
    measured: np.ndarray = (
        rng.binomial(IMAGES, np.clip(level + shared + of_candidates, 0, 0.999)) / IMAGES
    )
    return measured


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("others", [3, 7, 12])
def test_a_family_has_a_false_verdict_on_one_page_in_twenty(seeds: int, others: int) -> None:
    rng, studies, false = np.random.default_rng((seeds, others)), 300, 0
    for study in range(studies):
        reached = accuracies(rng, others + 1, seeds, (0.88, 0.92, 0.98)[study % 3])
        gains = [
            Comparison.from_spread(
                float(differences.mean()), OverSeeds.from_differences(list(differences), IMAGES)
            )
            for differences in reached[1:] - reached[0]
        ]
        false += any(test.sign for test in family(gains))
    # 5 %, and three standard errors of so many studies.
    assert false / studies < 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5


@pytest.mark.parametrize("seeds", [2, 3])
def test_contrasts_for_other_images_have_as_few_false_verdicts(seeds: int) -> None:
    rng, studies, false = np.random.default_rng(seeds), 300, 0
    for _ in range(studies):
        chances = 1 / (1 + np.exp(-rng.normal(3, 2, 200) - rng.normal(0, 0.1, (12, seeds, 1))))
        right = (rng.random((12, seeds, 200)) < chances).astype(float)
        tables = [right[i] - right[i + 1] for i in range(0, 12, 2)]
        tests = [
            Comparison.from_spread(
                float(differences.mean()), OverBoth.from_differences(differences)
            )
            for differences in tables
        ]
        false += any(test.sign for test in family(tests))
    assert false / studies < 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5


def test_a_depth_that_gains_a_point_is_seldom_called_unused() -> None:
    rng, studies, wrong = np.random.default_rng(0), 400, 0
    for _ in range(studies):
        gains = BOUND + accuracies(rng, 7, 5, 0.92) - accuracies(rng, 1, 5, 0.92)
        p_values = [
            standard_error.p_below(
                float(differences.mean()),
                OverSeeds.from_differences(list(differences), IMAGES),
                BOUND,
            )
            for differences in gains
        ]
        wrong += min(standard_error.holm(p_values)) < 0.05
    assert wrong / studies < 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5


def entries(numbers: list[int], seeds: list[int], reached: list[float]) -> list[Any]:
    return [
        SimpleNamespace(
            candidate="c",
            number=n,
            seed=seed,
            result=TrialResult("complete", test_accuracy=accuracy),
        )
        for n, seed, accuracy in zip(numbers, seeds, reached, strict=True)
    ]


def test_no_seed_counts_twice_and_the_last_trial_of_it_counts() -> None:
    results: Any = SimpleNamespace(
        images=lambda part: 1000, shows_test=lambda entry: True, lost=set()
    )
    trials = entries([5, 0, 1, 2, 3], [0, 0, 1, 1, 2], [0.93, 0.5, 0.5, 0.94, 0.95])
    rivals = entries([7, 8, 9, 6], [0, 1, 2, 2], [0.9, 0.9, 0.9, 0.5])
    comparison = paired.compared(results, trials, rivals, "test")
    assert comparison.seeds == 3
    assert comparison.difference == pytest.approx(0.04)


SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages: [{width: 16, heads: 1, unique: 2, loops: 4}]
  nll: {share: none}
axes:
"""
LOOPS = "  stages.*.loops: {choices: [1, 2, 4, 8]}\n"
DEPTHS = "study: s\nspace: space.yaml\nsearch: {seeds: SEEDS}\narms: {axis: stages.*.loops, reference: 1}\n"
KINDS = "  nll.share: {choices: [none, block, stage, execution]}\n"
ARMS = DEPTHS.replace("stages.*.loops", "nll.share").replace("reference: 1", "reference: none")
NOISE = [-0.004, -0.0015, 0.0055]


def seeded(entry: TrialRecord, gain: float) -> dict[str, Any]:
    """What a seed favours by itself, where it gains anything, leaves a p-value of some 0.03."""
    noise = NOISE[entry.seed] if gain else 0.0
    return complete(0.9, 0.9 + 0.01 * entry.seed + gain + noise)


def trained(text: str, axes: str, gain: dict[Any, float], axis: str, seeds: int = 3) -> Study:
    def result(entry: TrialRecord) -> dict[str, Any]:
        return seeded(entry, gain.get(entry.values.get(axis), 0.0))

    return run(written(SPACE + axes, text.replace("SEEDS", str(seeds))), result)


def test_arms_are_a_family() -> None:
    made = trained(ARMS, KINDS, {"block": 0.0143}, "nll.share")
    differences = {arm.name: arm.difference for arm in arms(Results.read(made))}
    block = differences["block"]
    assert block.interval is not None
    assert block.p is not None
    assert block.p < 0.05
    assert block.interval[0] > 0
    assert (block.tests, block.verdict) == (3, "no measurable difference")
    page = html.unescape(write_report(made).read_text())
    assert "block made no measurable difference against none" in page
    assert "after Holm's correction over 3 arms" in page
    assert page.count("All comparisons of one kind are one family of tests") == 1
    (facts,) = (
        arm for arm in json.loads((made.report_folder / "summary.json").read_text())["arms"]
        if arm["name"] == "block"
    )  # fmt: skip
    assert facts["difference_p_holm"] == pytest.approx(3 * facts["difference_p"])


def test_arms_that_are_not_trained_yet_count() -> None:
    made = written(SPACE + KINDS, ARMS.replace("SEEDS", "3"))
    run(made, lambda e: seeded(e, 0.0143 * (e.values["nll.share"] != "none")), most=9)
    compared = [arm for arm in arms(Results.read(made)) if not arm.is_reference]
    assert len(compared) <= 3
    assert {arm.difference.tests for arm in compared} == {3}


def test_one_seed_claims_nothing() -> None:
    text = DEPTHS + "controls: [rerun, shallow]\n"

    def result(entry: TrialRecord) -> dict[str, Any]:
        loops = entry.values.get("stages.*.loops", 1)
        reruns = [
            {"executions": a.executions, "val_accuracy": 0.5, "val_loss": 1.0, "test_accuracy": 0.5}
            for a in entry.job.reruns
        ]
        return complete(0.9, 0.5 + 0.05 * loops, reruns=reruns)

    made = run(written(SPACE + LOOPS, text.replace("SEEDS", "1")), result)
    results = Results.read(made)
    compared = [depth for depth in depths(results) if not depth.is_reference]
    assert {depth.verdict for depth in compared} == {ONE_SEED}
    assert not any(depth.is_unused for depth in compared)
    assert {pair.verdict for pair in pairs(results)} == {ONE_SEED}
    page = html.unescape(write_report(made).read_text())
    assert "Exploratory: one seed, so no verdict" in page
    assert "gained, compared with" not in page


def test_one_seed_of_arms_claims_nothing() -> None:
    made = trained(ARMS, KINDS, {"block": 0.05}, "nll.share", seeds=1)
    page = html.unescape(write_report(made).read_text())
    assert (
        "block compared with none: 94.6 % and 90.0 % on test, a difference of +4.6 points (one seed:"
        in page
    )
    assert "gained" not in page


GAINS = {1: 0.1, 2: 0.0, 4: -0.02, 8: 0.009, 16: 0.02}
"""What training at so many loops gains over rerunning the reference."""


def rerun_study(seeds: int) -> Study:
    def result(entry: TrialRecord) -> dict[str, Any]:
        level = 0.8 + 0.02 * entry.seed
        reruns = [
            {
                "executions": a.executions,
                "val_accuracy": 0.9,
                "val_loss": 1.0,
                "test_accuracy": level,
            }
            for a in entry.job.reruns
        ]
        gain = GAINS[entry.values["stages.*.loops"]] + 0.001 * (entry.seed - 1)
        return complete(0.9, level + gain, reruns=reruns)

    axes = LOOPS.replace("8]", "8, 16]")
    text = DEPTHS.replace("SEEDS", str(seeds)) + "controls: [rerun]\n"
    return run(written(SPACE + axes, text), result)


def test_depth_is_unused_only_where_a_gain_of_a_point_is_ruled_out() -> None:
    trained_depths = depths(Results.read(rerun_study(seeds=5)))
    verdicts = {depth.executions: depth.verdict.rsplit(" ", 1)[1] for depth in trained_depths}
    assert verdicts == {2: "reference", 4: "difference", 8: "lost", 16: "gained", 32: "gained"}
    assert [depth.executions for depth in trained_depths if depth.is_unused] == [4, 8]
    # Four gains and four differences.
    assert {
        test.tests for depth in trained_depths[1:] for test in (depth.gain, depth.difference)
    } == {8}
    text = " ".join(depth_sentences(trained_depths, 5))
    assert "may gain" not in text
    assert "after Holm's correction over 8 tests" in text


def test_few_seeds_say_how_much_a_depth_may_gain() -> None:
    trained_depths = depths(Results.read(rerun_study(seeds=2)))
    assert [depth.executions for depth in trained_depths if depth.is_unused] == [8]
    assert {depth.gain.sign for depth in trained_depths[1:]} == {0}
    largest_gain = max(
        depth.gain.interval[1] for depth in trained_depths[1:] if depth.gain.interval
    )
    text = " ".join(depth_sentences(trained_depths, 2))
    assert (
        "made no measurable difference, compared with the weights trained at 2 executions" in text
    )
    assert f"it may gain up to +{100 * largest_gain:.1f} points" in text
    assert "as well" not in text


def test_one_model_is_said_to_be_trained_at_few_depths_and_evaluated_at_more() -> None:
    axes = (
        "  recipe.depth_training: {choices: [fixed, mixed]}\n"
        "  recipe.depths: {choices: [[1, 4]], when: {recipe.depth_training: [mixed]}}\n"
    )
    text = ARMS.replace("nll.share", "recipe.depth_training").replace(": none", ": fixed")

    def result(entry: TrialRecord) -> dict[str, Any]:
        reruns = [
            {"executions": a.executions, "val_accuracy": 0.5, "val_loss": 1.0, "test_accuracy": 0.5}
            for a in entry.job.reruns
        ]
        return complete(0.5, 0.9 + 0.001 * entry.number, reruns=reruns)

    made = run(written(SPACE + axes, text.replace("SEEDS", "3")), result)
    (elastic,) = elastics(Results.read(made))
    assert [rung.is_trained for rung in elastic.rungs] == [True, False, False, True]
    assert [rung.has_rival for rung in elastic.rungs] == [False, False, False, True]
    # As long is as many multiply-adds here: this is the same comparison once more.
    assert elastic.rungs[-1].gap.tests == 1
    sentence = elastic_sentence(elastic)
    assert sentence.startswith("One model trained at 2 depths (mixed) and evaluated at 4")
    assert "for one depth alone at 1 of its 4 depths" in sentence


def test_arms_and_twins_of_a_later_declaration_are_closed() -> None:
    axes = KINDS.replace("[none, block, stage, execution]", "[none, block]")
    text = ARMS + "controls: [shallow]\n"
    trained(text, axes, {}, "nll.share")
    Path("space.yaml").write_text(SPACE + KINDS)
    made = run(load_study("study.yaml"), lambda entry: seeded(entry, 0.3))
    results = Results.read(made)
    by_name = {arm.name: arm for arm in arms(results)}
    for name in ("stage", "execution"):
        assert (by_name[name].test, by_name[name].test_interval) == (None, None)
        assert by_name[name].difference == Comparison(is_closed=True)
    assert by_name["block"].difference.tests == 1, "what is closed is in no family"
    closed = [pair for pair in pairs(results) if pair.difference.is_closed]
    assert {(pair.part, pair.verdict) for pair in closed} == {("val", CLOSED)}
    assert len(closed) == 2
    page = html.unescape(write_report(made).read_text())
    assert "stage: 90.0 % on validation (reference none: 90.0 %)" in page
    assert CLOSED in page
    assert "120.0" not in page


def test_a_contrast_that_was_declared_later_is_shown_on_validation_without_a_verdict() -> None:
    text = "study: s\nspace: space.yaml\nsearch: {seeds: 3}\ncontrasts: [{axis: nll.share, of: block, against: none}]\n"

    def result(entry: TrialRecord) -> dict[str, Any]:
        gain = 0.1 * (entry.values["nll.share"] == "stage")
        return complete(0.5 + gain + 0.001 * entry.seed, 0.8)

    run(written(SPACE + KINDS, text), result)
    Path("study.yaml").write_text(
        text.replace("none}]", "none}, {axis: nll.share, of: stage, against: none}]")
    )
    results = Results.read(run(load_study("study.yaml"), result))
    first, later = contrasts(results)
    assert (first.part, first.tested.tests) == ("test", 1)
    assert (later.part, later.difference) == ("val", pytest.approx(0.1))
    assert later.verdict == "declared after the results, exploratory, on validation"
    assert (later.tested.p_holm, later.over_both) == (None, None)
    assert contrast_sentences([later])[0].endswith(f"{later.verdict}; no verdict.")


def test_the_power_that_is_printed_is_that_of_the_verdict() -> None:
    text = (
        "study: s\nspace: space.yaml\nsearch: {seeds: 3}\ncontrasts:\n"
        "  - {axis: nll.share, of: block, against: none}\n"
        "  - {axis: nll.share, of: stage, against: none}\n"
    )
    made = run(written(SPACE + KINDS, text), lambda e: seeded(e, 0.01 * (e.number % 5)))
    contrast, _ = contrasted = contrasts(Results.read(made))
    spread = contrast.tested.spread
    assert spread is not None
    assert contrast.over_seeds is not None
    assert standard_error.power(
        contrast.over_seeds.detectable, spread, 3, 0.05 / 2
    ) == pytest.approx(0.8)
    assert "the first step of Holm's correction (p < 0.05 / 2)" in contrast_sentences(contrasted)[0]
