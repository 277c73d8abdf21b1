"""Contrasts: which candidates stand in them, and what is wrong with one."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sret_search.config.space_file import Axis
from sret_search.config.study_file import Contrast
from sret_search.space.contrasts import inert_axes, pairs, takes_part
from sret_search.study import Study, StudyError, load_study

SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages: [{width: 16, heads: 1, unique: 2, loops: 1}]
  nll: {share: none}
axes:
  stages.*.loops: {choices: [1, 2, 4]}
  stages.*.groups: {choices: [[1], [4], [4, 2]]}
  nll.share: {choices: [none, block, stage]}
  nll.ratio: {choices: [0.5, 1], when: {nll.share: [block, stage]}}
  recipe.batch_size: {choices: [64, 128]}
  recipe.accumulate: {same_as: stages.*.loops}
budget: {params: {max: 100_000}}
"""
MARK = "»"


pytestmark = pytest.mark.usefixtures("here")


def load(
    contrasts: str, search: str = "{sampler: grid, seeds: 2}", more: str = "", space: str = SPACE
) -> Study:
    Path("space.yaml").write_text(space)
    text = f"study: s\nspace: space.yaml\nsearch: {search}\ncontrasts: {contrasts}\n{more}"
    Path("study.yaml").write_text(text.replace(MARK, ""))
    return load_study(Path("study.yaml"))


def values_of(study: Study) -> list[tuple[dict, dict]]:
    (contrast,) = study.file.contrasts
    candidates = [one.values for one in study.grid]
    found = pairs(
        contrast, candidates, study.space.axes, inert_axes(contrast, candidates, study.space)
    )
    return [(candidates[i], candidates[j]) for i, j in found]


def test_pairs_differ_in_nothing_but_the_axis() -> None:
    found = values_of(load("[{axis: stages.*.groups, of: [4, 2], against: [1]}]"))
    # Of 1 loop a second entry of groups cannot be: those candidates have no partner.
    assert len(found) == 2 * (1 + 2 * 2) * 2
    for of, against in found:
        assert of["stages.*.groups"] == [4, 2]
        assert against["stages.*.groups"] == [1]
        assert of | {"stages.*.groups": [1]} == against


def test_an_axis_that_follows_the_contrast_s_own_goes_along() -> None:
    found = values_of(load("[{axis: stages.*.loops, of: 4, against: 1}]"))
    assert len(found) == 2 * (1 + 2 * 2) * 2
    assert {(of["recipe.accumulate"], other["recipe.accumulate"]) for of, other in found} == {
        (4, 1)
    }


def test_an_axis_of_one_side_alone_is_averaged_over_and_one_of_both_agrees() -> None:
    alone = values_of(load("[{axis: nll.share, of: block, against: none}]"))
    both = values_of(load("[{axis: nll.share, of: block, against: stage}]"))
    assert len(alone) == len(both)
    assert {of["nll.ratio"] for of, _ in alone} == {0.5, 1}
    assert all("nll.ratio" not in against for _, against in alone)
    assert all(of["nll.ratio"] == against["nll.ratio"] for of, against in both)


@pytest.mark.parametrize(
    ("within", "kept"),
    [
        ("{stages.*.loops: 4}", {(4, (4,))}),
        ("{stages.*.loops: [2, 4]}", {(2, (4,)), (4, (4,))}),
        ("{stages.*.groups: [4], stages.*.loops: 1}", {(1, (4,))}),
        ("{stages.*.groups: [[4]]}", {(1, (4,)), (2, (4,)), (4, (4,))}),
    ],
)
def test_within_takes_a_value_or_a_list_of_them(within: str, kept: set) -> None:
    found = values_of(
        load(f"[{{axis: recipe.batch_size, of: 128, against: 64, within: {within}}}]")
    )
    seen = {(of["stages.*.loops"], tuple(of["stages.*.groups"])) for of, _ in found}
    assert {one for one in seen if one[1] == (4,)} == kept


@pytest.mark.parametrize("p", [0, 1])
def test_within_an_axis_that_one_side_does_not_know_keeps_the_other_side(p: int) -> None:
    space = SPACE.replace(
        "budget:",
        """\
  residual.kind: {choices: [scaled, lrc]}
  residual.p: {choices: [0, 1]}
  residual.q: {same_as: residual.p, times: 0.5}
budget:""",
    )
    text = f"[{{axis: residual.kind, of: lrc, against: scaled, within: {{residual.p: {p}}}}}]"
    study = load(text, space=space)
    found = values_of(study)
    assert {of["residual.kind"] for of, _ in found} == {"lrc"}
    assert len(found) == len({json.dumps(of) for of, _ in found}) > 20
    for of, against in found:
        assert against["residual.p"] == p
        assert of | {k: v for k, v in against.items() if "residual" in k} == against


@given(
    st.lists(
        st.fixed_dictionaries({name: st.sampled_from([1, 2, 3]) for name in "abc"}),
        max_size=27, unique_by=lambda one: tuple(one.values()),
    )
)  # fmt: skip
def test_pairs_are_those_of_every_two_that_are_compared(candidates: list[dict[str, int]]) -> None:
    contrast = Contrast(axis="a", of=2, against=1, within={"b": [1, 3]})
    axes = {name: Axis(choices=[1, 2, 3]) for name in "abc"}
    found = pairs(contrast, candidates, axes)
    expected = {
        (i, j)
        for i, x in enumerate(candidates)
        for j, y in enumerate(candidates)
        if (x["a"], y["a"]) == (2, 1) and x["b"] == y["b"] != 2 and x["c"] == y["c"]
    }
    assert sorted(found) == sorted(expected)
    in_pairs = {place for pair in found for place in pair}
    assert all(takes_part(contrast, candidates[place]) for place in in_pairs)


LOOPS = "{axis: stages.*.loops, of: 4, against: 1}"
WRONG = {
    "no_axis": ("[{axis: »stages.*.loop, of: 4, against: 1}]", "the space has no axis stages.*.loop; did you mean stages.*.loops?"),
    "no_value": ("[{axis: stages.*.loops, of: »8, against: 1}]", "8 is not a value of stages.*.loops; 1, 2, 4"),
    "no_list": ("[{axis: stages.*.groups, of: [4, 2], against: »[2]}]", "[2] is not a value of stages.*.groups; [1], [4], [4, 2]"),
    "itself": ("[{axis: stages.*.loops, of: 4, against: »4}]", "4 cannot be compared with itself"),
    "follower": ("[{axis: »recipe.accumulate, of: 4, against: 1}]", "recipe.accumulate follows stages.*.loops: contrast stages.*.loops instead"),
    "within_no_axis": ("[{axis: stages.*.loops, of: 4, against: 1, within: {»nll.shares: block}}]", "did you mean nll.share?"),
    "within_itself": ("[{axis: stages.*.loops, of: 4, against: 1, within: {»stages.*.loops: 4}}]", "`within` is for the other axes"),
    "within_no_value": ("[{axis: stages.*.loops, of: 4, against: 1, within: {nll.share: »execution}}]", "execution is not a value of nll.share; none, block, stage"),
    "within_one_no_value": ("[{axis: stages.*.loops, of: 4, against: 1, within: {nll.share: [none, »blok]}}]", "blok is not a value of nll.share"),
    "within_nothing": ("[{axis: stages.*.loops, of: 4, against: 1, within: {nll.share: »[]}}]", "[] is not a value of nll.share"),
    "twice": (f"[{LOOPS}, »{{axis: stages.*.loops, of: 1, against: 4}}]", "stands here twice"),
    "no_pair": ("[»{axis: stages.*.groups, of: [4, 2], against: [1], within: {stages.*.loops: 1}}]", "no two candidates differ in nothing but stages.*.groups, [4, 2] in one and [1] in the other"),
    "no_of": ("[»{axis: stages.*.loops, against: 1}]", "of is needed"),
    "unknown_key": ("[{axis: stages.*.loops, of: 4, against: 1, »withn: {}}]", "did you mean within?"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "fragment"), WRONG.values(), ids=WRONG)
def test_a_wrong_contrast_is_named_by_its_place(text: str, fragment: str) -> None:
    place = f"study.yaml:4:{len('contrasts: ') + text.index(MARK) + 1}: "
    with pytest.raises(StudyError) as caught:
        load(text)
    lines = [line for line in str(caught.value).splitlines() if line.startswith(place)]
    assert any(fragment in line for line in lines), caught.value


def test_the_nearest_of_many_values_is_named() -> None:
    space = SPACE.replace("[64, 128]", "[" + ", ".join(str(8 * i) for i in range(1, 31)) + "]")
    with pytest.raises(
        StudyError, match=r"65 is not a value of recipe\.batch_size; did you mean 64"
    ):
        load("[{axis: recipe.batch_size, of: 65, against: 8}]", space=space)


def test_contrasts_need_a_grid_that_is_trained_to_its_end() -> None:
    with pytest.raises(StudyError, match=r"study.yaml:4:1: .* need the grid sampler"):
        load(f"[{LOOPS}]", "{sampler: random, trials: 8}")
    with pytest.raises(StudyError, match=r"study.yaml:4:1: .* trained to their end"):
        load(f"[{LOOPS}]", "{sampler: grid}", "scheduler: {name: mo_asha}\n")
