"""An architecture checks every rule, counts its depth, and survives being written down."""

import json
from dataclasses import replace

import pytest

from sret_search.architecture import NLL, Architecture, ArchitectureError, Residual, Stage
from sret_search.variants import VARIANTS

GOOD = Architecture(
    image_size=16, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(
        Stage(width=8, heads=2, unique=1, loops=3, groups=(4, 2), mlp_ratio=2.0),
        Stage(width=16, heads=4, unique=2, loops=2, groups=(1,), mlp_ratio=1.5),
    ),
    nll=NLL("execution", 0.5), residual=Residual("lrc"),
)  # fmt: skip

NAN, INF = float("nan"), float("inf")


def _with_stage(index, **changes):
    stages = list(GOOD.stages)
    stages[index] = replace(stages[index], **changes)
    return {"stages": tuple(stages)}


BROKEN = [
    ({"image_size": 0}, ("image_size",), ["image_size > 0", "0"]),
    ({"image_size": -4}, ("image_size",), ["image_size > 0", "-4"]),
    ({"in_channels": 0}, ("in_channels",), ["in_channels > 0", "got 0"]),
    ({"classes": -1}, ("classes",), ["classes > 0", "got -1"]),
    ({"stem_strides": ()}, ("stem_strides",), ["at least one convolution"]),
    ({"stem_strides": (2, 0)}, ("stem_strides", 1), ["1 to 4", "got 0"]),
    ({"stem_strides": (5,)}, ("stem_strides", 0), ["1 to 4", "got 5"]),
    ({"stages": ()}, ("stages",), ["at least one stage"]),
    ({"nll": NLL("layer")}, ("nll", "share"), ["none, stage, block, execution", "'layer'"]),
    ({"nll": NLL(ratio=0.0)}, ("nll", "ratio"), ["ratio > 0", "got 0.0"]),
    ({"nll": NLL(rank=0)}, ("nll", "rank"), ["rank > 0", "got 0"]),
    ({"nll": NLL(ratio=0.1)}, ("nll", "ratio"), ["stage 0", "0.1", "no hidden channel"]),
    ({"residual": Residual("plain")}, ("residual", "kind"), ["lrc, layerscale, scaled", "'plain'"]),
    ({"residual": Residual(lam=0.0)}, ("residual", "lam"), ["lam > 0", "got 0.0"]),
    ({"residual": Residual(lam=INF)}, ("residual", "lam"), ["got inf"]),
    ({"residual": Residual(init=-1.0)}, ("residual", "init"), ["init > 0", "got -1.0"]),
    ({"residual": Residual("scaled", p=NAN)}, ("residual", "p"), ["nan"]),
    ({"residual": Residual("scaled", q=INF)}, ("residual", "q"), ["inf"]),
    ({"permutation": "random"}, ("permutation",), ["none, stride, official", "'random'"]),
    ({"drop_path": 1.0}, ("drop_path",), ["0 <= drop_path < 1", "got 1.0"]),
    ({"drop_path": -0.1}, ("drop_path",), ["0 <= drop_path < 1", "got -0.1"]),
    ({"drop_path": NAN}, ("drop_path",), ["0 <= drop_path < 1", "got nan"]),
    (_with_stage(1, width=0), ("stages", 1, "width"), ["width > 0", "got 0"]),
    (_with_stage(1, heads=0), ("stages", 1, "heads"), ["heads > 0", "got 0"]),
    (_with_stage(1, unique=-2), ("stages", 1, "unique"), ["unique > 0", "got -2"]),
    (_with_stage(1, loops=0), ("stages", 1, "loops"), ["loops > 0", "got 0"]),
    (_with_stage(1, mlp_ratio=-0.5), ("stages", 1, "mlp_ratio"), ["mlp_ratio > 0", "got -0.5"]),
    (_with_stage(1, mlp_ratio=INF), ("stages", 1, "mlp_ratio"), ["mlp_ratio > 0", "got inf"]),
    (
        _with_stage(1, heads=6),
        ("stages", 1, "heads"),
        ["stage 1", "heads must divide", "16 channels", "6 heads", "4 or 8"],
    ),
    (_with_stage(1, mlp_ratio=0.01), ("stages", 1, "mlp_ratio"), ["stage 1", "0.01", "no hidden"]),
    (_with_stage(1, groups=()), ("stages", 1, "groups"), ["stage 1", "at least one entry"]),
    (
        _with_stage(1, groups=(1, 6)),
        ("stages", 1, "groups", 1),
        ["stage 1", "16 tokens cannot be cut into 6 groups", "4 or 8"],
    ),
    (_with_stage(0, groups=(0,)), ("stages", 0, "groups", 0), ["stage 0", "into 0 groups"]),
    (_with_stage(0, width=7, heads=1), ("stages", 0, "width"), ["stage 0", "half", "7 is odd"]),
    (_with_stage(1, width=12), ("stages", 1, "width"), ["stage 1", "multiple", "12 after 8"]),
]


def _names(cases):
    return [".".join(map(str, path)) for _, path, *_ in cases]


@pytest.mark.parametrize(("changes", "path", "fragments"), BROKEN, ids=_names(BROKEN))
def test_a_broken_rule_is_named_with_its_place_and_values(changes, path, fragments):
    with pytest.raises(ArchitectureError) as caught:
        replace(GOOD, **changes)
    assert caught.value.path == path
    for fragment in fragments:
        assert fragment in str(caught.value)


OF_A_STAGE = [(changes, path) for changes, path, _ in BROKEN if path[0] == "stages" and path[1:]]


@pytest.mark.parametrize(("changes", "path"), OF_A_STAGE, ids=_names(OF_A_STAGE))
def test_the_message_of_a_stage_s_rule_names_the_stage(changes, path):
    with pytest.raises(ArchitectureError, match=f"stage {path[1]}"):
        replace(GOOD, **changes)


def test_a_broken_rule_is_a_value_error():
    with pytest.raises(ValueError, match="classes"):
        replace(GOOD, classes=0)


def test_one_convolution_may_have_an_odd_width():
    a = replace(GOOD, stem_strides=(2,), stages=(Stage(width=7, heads=7),))
    assert a.stem_channels == (7,)


def test_a_ratio_without_nll_is_not_checked_against_the_width():
    assert replace(GOOD, nll=NLL("none", 0.01)).nlls(GOOD.stages[0]) == 0


@pytest.mark.parametrize("a", [GOOD, *VARIANTS.values()], ids=["good", *VARIANTS])
def test_an_architecture_survives_json(a):
    again = Architecture.from_dict(json.loads(json.dumps(a.to_dict())))
    assert again == a
    assert hash(again) == hash(a)


def test_every_field_tells_two_architectures_apart():
    changed = [
        replace(GOOD, image_size=32),
        replace(GOOD, in_channels=3),
        replace(GOOD, classes=9),
        replace(GOOD, stem_strides=(2, 1)),
        replace(GOOD, stages=GOOD.stages[:1]),
        replace(GOOD, nll=NLL("block", 0.5)),
        replace(GOOD, nll=NLL("execution", 0.5, rank=3)),
        replace(GOOD, residual=Residual("scaled")),
        replace(GOOD, residual=Residual("lrc", q=1.0)),
        replace(GOOD, permutation="stride"),
        replace(GOOD, drop_path=0.1),
        *(replace(GOOD, **_with_stage(1, **{name: value})) for name, value in (
            ("width", 32), ("heads", 2), ("unique", 1), ("loops", 1), ("groups", (2,)),
            ("mlp_ratio", 1.0),
        )),
    ]  # fmt: skip
    assert len({GOOD, *changed}) == len(changed) + 1
    assert len({json.dumps(a.to_dict()) for a in (GOOD, *changed)}) == len(changed) + 1


def test_optional_fields_may_be_left_out_of_plain_data():
    plain = {
        "image_size": 8,
        "in_channels": 1,
        "classes": 2,
        "stem_strides": [2],
        "stages": [{"width": 4, "heads": 1}],
    }
    assert Architecture.from_dict(plain) == Architecture(8, 1, 2, (2,), (Stage(4, 1),))


def test_plain_data_is_a_copy():
    plain = GOOD.to_dict()
    plain["stages"][0]["groups"].append(7)
    plain["nll"]["ratio"] = 9.0
    assert GOOD.stages[0].groups == (4, 2)
    assert GOOD.nll.ratio == 0.5


def test_depth_is_counted_in_unique_blocks_and_executions():
    assert [stage.executions for stage in GOOD.stages] == [3, 4]
    assert GOOD.executions == 7
    assert GOOD.unique_blocks == 3


@pytest.mark.parametrize(
    ("share", "distinct"),
    [("none", [0, 0]), ("stage", [1, 1]), ("block", [1, 2]), ("execution", [3, 4])],
)
def test_distinct_nlls_follow_their_sharing(share, distinct):
    a = replace(GOOD, nll=NLL(share))
    assert [a.nlls(stage) for stage in a.stages] == distinct


def test_the_published_sret_t_has_10_unique_blocks_and_20_executions():
    assert VARIANTS["sret_t"].unique_blocks == 10
    assert VARIANTS["sret_t"].executions == 20
    assert VARIANTS["sret_t"].sides == (28, 14, 7)


def test_the_last_group_count_serves_all_later_loops():
    stage = Stage(8, 2, loops=5, groups=(4, 2, 1))
    assert [stage.groups_at(loop) for loop in range(5)] == [4, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("image_size", "strides", "sides"),
    [
        (224, (2, 2, 2), (28, 14)),
        (30, (2, 2, 2), (4, 2)),
        (8, (1, 2), (4, 2)),
        (9, (4,), (3, 2)),
        (1, (2, 2), (1, 1)),
    ],
)
def test_sides_round_up_at_each_stride(image_size, strides, sides):
    stages = (Stage(8, 2), Stage(16, 2))
    assert Architecture(image_size, 3, 10, strides, stages).sides == sides


def test_hidden_widths_round_down():
    assert Stage(width=64, heads=2, mlp_ratio=3.6).hidden == 230
    assert NLL(ratio=0.3).hidden(8) == 2
    assert NLL(ratio=0.3, rank=5).hidden(8) == 5


def test_a_scaled_branch_weighs_lam_over_powers_of_loops_and_unique_blocks():
    scale = Residual("scaled", lam=3.0, p=1.0, q=0.5).branch_scale(loops=10, unique=4)
    assert scale == pytest.approx(0.15)
    assert Residual("scaled", p=0.0, q=0.0).branch_scale(loops=10, unique=4) == 1.0
