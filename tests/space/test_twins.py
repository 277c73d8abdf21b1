"""Arms, controls and confirmation in study files, and the twins that they ask for."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.architecture.variants import VARIANTS
from sret_search.cost import cost
from sret_search.job import Recipe, train_macs
from sret_search.space.candidate import Candidate
from sret_search.space.twins import TOLERANCE, twins
from sret_search.study import Study, StudyError, load_study

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 4, 16]}
"""
STUDY = """\
study: s
space: space.yaml
recipe: {epochs: 2, lr: 2e-3}
arms: {axis: stages.*.loops, reference: 4, lr: {grid: [1e-3, 2e-3, 4e-3, 8e-3]}}
controls: [unshared, rerun]
"""
GRID = "[1e-3, 2e-3, 4e-3, 8e-3]"
ARMS = STUDY.splitlines()[3]
RANDOM = "search: {sampler: random, trials: 4}"
MARK = "»"

# Each: what is replaced by what, with a mark at the place that must be named; part of the message.
WRONG = {
    "three_rates": (GRID, "»[1e-3, 2e-3, 4e-3]", "at least 4 values are needed"),
    "a_rate_that_is_not_twice": (GRID, "[1e-3, 2e-3, »5e-3, 1e-2]", "0.004 would do"),
    "rates_that_fall": (GRID, "[8e-3, »4e-3, 2e-3, 1e-3]", "0.004 comes after 0.008"),
    "a_negative_rate": (GRID, "[»-1e-3, 2e-3, 4e-3, 8e-3]", "greater than 0"),
    "a_word_for_a_rate": (GRID, "[»fast, 2e-3, 4e-3, 8e-3]", 'number is needed, but got "fast"'),
    "no_seed": (GRID, f"{GRID}, seeds: »0", "at least 1"),
    "unknown_key_of_rates": (GRID, f"{GRID}, »sedes: 1", "did you mean seeds?"),
    "a_rate_below_the_last": ("lr: 2e-3}", "lr: 2e-3, lr_end: 1.5e-3}", "below the recipe's lr_end"),
    "an_unknown_control": ("unshared", "»unshard", "did you mean unshared?"),
    "a_control_twice": ("[unshared, rerun]", "[unshared, »unshared]", "stands here twice"),
    "twins_of_elastic_ones": (
        "lr: 2e-3}\n" + ARMS + "\ncontrols: [unshared, rerun]",
        "lr: 2e-3, depth_training: sandwich}\ncontrols: [»unshared]",
        "run at one depth, but depth_training trains many",
    ),
    "confirmed_arms": ("controls:", "»confirm: {seeds: 3}\ncontrols:", "no choice to confirm"),
    "one_seed_confirms": (
        ARMS + "\ncontrols: [unshared, rerun]", f"{RANDOM}\nconfirm: {{seeds: »1}}", "at least 2"
    ),
    "an_unknown_part": (
        ARMS + "\ncontrols: [unshared, rerun]", f"{RANDOM}\nconfirm: {{on: »test}}", "'train+val'"
    ),
    "rates_of_a_search": ("arms: ", f"{RANDOM}\narms: »", "they need the grid sampler"),
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("here")


def load(text: str, space: str = SPACE) -> Study:
    Path("space.yaml").write_text(space)
    Path("study.yaml").write_text(text)
    return load_study(Path("study.yaml"))


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named_by_its_place(name: str) -> None:
    old, new, message = WRONG[name]
    assert STUDY.count(old) == 1
    text = STUDY.replace(old, new)
    with pytest.raises(StudyError) as wrong:
        load(text.replace(MARK, ""))
    found = [p for p in wrong.value.problems if message in p.message]
    assert found, str(wrong.value)
    if MARK in text:
        line = next(i for i, line in enumerate(text.splitlines(), 1) if MARK in line)
        column = text.splitlines()[line - 1].index(MARK) + 1
        assert (found[0].line, found[0].column) == (line, column)


def test_rates_and_an_axis_of_rates_exclude_each_other() -> None:
    beside = "  recipe.lr: {choices: [1e-3], when: {stages.*.loops: [1]}}\n"
    with pytest.raises(StudyError, match="leave out the axis recipe"):
        load(STUDY.replace(", rerun", ""), SPACE + beside)


ALL = ["unshared", "shallow", "iso_params", "iso_macs", "iso_train_macs"]


@pytest.mark.parametrize("name", [n for n, a in VARIANTS.items() if a.loops > 1])
def test_every_variant_has_twins_that_match(name: str) -> None:
    check(VARIANTS[name], Recipe(epochs=5))


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    heads = draw(st.sampled_from([1, 2, 3]))
    width = heads * 2 * draw(st.integers(8, 24))
    stages = [
        Stage(
            width=width * 2**i,
            heads=heads * draw(st.sampled_from([1, 2])),
            unique=draw(st.integers(1, 3)),
            loops=draw(st.integers(2 - i, 40)),
            groups=draw(st.sampled_from([(1,), (4, 2, 1)])),
            mlp_ratio=draw(st.sampled_from([1.0, 2.0, 3.6])),
        )
        for i in range(draw(st.integers(1, 2)))
    ]
    return Architecture(
        image_size=32, in_channels=3, classes=10, stem_strides=(2, 2), stages=tuple(stages),
        nll=NLL(draw(st.sampled_from(["none", "stage", "block", "execution"]))),
        residual=Residual(draw(st.sampled_from(["lrc", "scaled"]))),
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(architectures())
def test_any_candidate_has_twins_that_match(architecture: Architecture) -> None:
    check(architecture, Recipe(epochs=3))


def check(a: Architecture, recipe: Recipe) -> None:
    found = {twin.control: twin for twin in twins(ALL, Candidate({}, a, recipe), 5000)}
    assert list(found) == ALL
    built = {control: twin.candidate.architecture for control, twin in found.items()}
    assert all(one.loops == 1 for one in built.values())
    assert built["unshared"].executions == built["unshared"].unique_blocks == a.executions
    assert built["shallow"].unique_blocks == a.unique_blocks
    for control, twin in found.items():
        if twin.matched is None:
            assert (control in ("unshared", "shallow"), twin.gap) == (True, 0)
            assert twin.candidate.recipe == recipe
            continue
        assert control == f"iso_{twin.matched}"
        if twin.matched == "train_macs":
            other = twin.candidate
            has = train_macs(other.architecture, other.recipe, 5000)
            wanted = train_macs(a, recipe, 5000)
            assert other.architecture == built["shallow"]
        else:
            has, wanted = (getattr(cost(one), twin.matched) for one in (built[control], a))
            assert twin.candidate.recipe == recipe
        assert twin.gap == pytest.approx(has / wanted - 1)
        assert abs(twin.gap) <= TOLERANCE


def test_a_candidate_that_does_not_recur_has_no_twins() -> None:
    flat = VARIANTS["sret_digits"].at_loops(1)
    assert list(twins(ALL, Candidate({}, flat, Recipe()), 1000)) == []


def test_a_cost_that_cannot_be_matched_is_said_to_be_off() -> None:
    # One wide head: steps in width are coarse, and the MLP is a small part of the whole.
    a = dataclasses.replace(
        VARIANTS["sret_digits"],
        stages=(Stage(width=8, heads=8, unique=1, loops=2, mlp_ratio=0.125),),
        nll=NLL("execution"),
    )
    gaps = [t.gap for t in twins(["iso_params"], Candidate({}, a, Recipe()), 1000)]
    assert abs(gaps[0]) > TOLERANCE


@pytest.mark.parametrize("schedule", [{}, {"schedule": "wsd", "decay": 2, "warmup": 1}])
def test_a_longer_training_keeps_the_shares_of_its_schedule(schedule: dict) -> None:
    recipe = Recipe(epochs=10, **schedule)
    candidate = Candidate({}, VARIANTS["sret_digits"], recipe)
    (twin,) = twins(["iso_train_macs"], candidate, 1000)
    longer = twin.candidate.recipe
    assert longer.length > 40
    assert longer.warmup_in_units / longer.length == pytest.approx(recipe.warmup_in_units / 10)
    if schedule:
        assert longer.decay / longer.length == pytest.approx(0.2)
