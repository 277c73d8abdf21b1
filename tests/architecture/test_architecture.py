"""An architecture checks every rule, counts its depth, and survives being written down."""

import dataclasses
import json
import re
from dataclasses import replace

import pytest
from candidates import candidates

from sret_search.architecture import (
    NLL,
    Architecture,
    ArchitectureError,
    Loop,
    Relax,
    Residual,
    Stage,
)
from sret_search.architecture.variants import VARIANTS

GOOD = Architecture(
    image_size=16, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(
        Stage(width=8, heads=2, unique=1, loops=3, groups=(4, 2), mlp_ratio=2.0),
        Stage(width=16, heads=4, unique=2, loops=2, groups=(1,), mlp_ratio=1.5),
    ),
    nll=NLL("execution", 0.5), residual=Residual("lrc"),
)  # fmt: skip
# No field has its default value.
FULL = Architecture(
    image_size=8, in_channels=3, classes=2, stem_strides=(2,),
    stages=(Stage(width=8, heads=2, unique=4, loops=(1, 3, 3, 1), groups=(4, 2), mlp_ratio=2.0),),
    stem="patch", order="cycle", nll=NLL("block", 0.5, rank=3),
    residual=Residual("scaled", init=0.1, lam=2.0, p=0.5, q=0.25),
    relax=Relax(norm=True, gain=True, lora=2, experts=3),
    loop=Loop("gate", "learned", "weighted", streams=3), norm="sandwich",
    permutation="stride", drop_path=0.2,
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
    ({"stem": "conv"}, ("stem",), ["convolutions, patch", "'conv'"]),
    ({"stem": "patch"}, ("stem_strides",), ["a patch stem has one stride", "[1, 2]"]),
    (
        {"stem": "patch", "stem_strides": (3,)},
        ("stem_strides", 0),
        ["must tile", "patches of 3 for 16 pixels", "2 or 4"],
    ),
    (
        {"stem": "patch", "stem_strides": (0,)},
        ("stem_strides", 0),
        ["must tile", "patches of 0 for 16 pixels", "1 or 2"],
    ),
    ({"order": "random"}, ("order",), ["sequence, cycle", "'random'"]),
    ({"stages": ()}, ("stages",), ["at least one stage"]),
    ({"nll": NLL("layer")}, ("nll", "share"), ["none, stage, block, execution", "'layer'"]),
    ({"nll": NLL(ratio=0.0)}, ("nll", "ratio"), ["ratio > 0", "got 0.0"]),
    ({"nll": NLL(rank=0)}, ("nll", "rank"), ["rank > 0", "got 0"]),
    (
        {"nll": NLL(ratio=0.1)},
        ("nll", "ratio"),
        ["stage 0", "nll ratio 0.1", "no hidden channel", "at least 0.125", "width 8"],
    ),
    ({"residual": Residual("plain")}, ("residual", "kind"), ["lrc, layerscale, scaled", "'plain'"]),
    ({"residual": Residual(lam=0.0)}, ("residual", "lam"), ["lam > 0", "got 0.0"]),
    ({"residual": Residual(lam=INF)}, ("residual", "lam"), ["got inf"]),
    ({"residual": Residual(init=-1.0)}, ("residual", "init"), ["init > 0", "got -1.0"]),
    ({"residual": Residual("scaled", p=NAN)}, ("residual", "p"), ["nan"]),
    ({"residual": Residual("scaled", q=INF)}, ("residual", "q"), ["inf"]),
    ({"relax": Relax(experts=0)}, ("relax", "experts"), ["experts > 0", "got 0"]),
    ({"relax": Relax(experts=-1)}, ("relax", "experts"), ["experts > 0", "got -1"]),
    ({"relax": Relax(lora=0)}, ("relax", "lora"), ["lora > 0", "got 0"]),
    ({"relax": Relax(lora=-3)}, ("relax", "lora"), ["lora > 0", "got -3"]),
    ({"permutation": "random"}, ("permutation",), ["none, stride, official", "'random'"]),
    ({"drop_path": 1.0}, ("drop_path",), ["0 <= drop_path < 1", "got 1.0"]),
    ({"drop_path": -0.1}, ("drop_path",), ["0 <= drop_path < 1", "got -0.1"]),
    ({"drop_path": NAN}, ("drop_path",), ["0 <= drop_path < 1", "got nan"]),
    (_with_stage(1, width=0), ("stages", 1, "width"), ["width > 0", "got 0"]),
    (_with_stage(1, heads=0), ("stages", 1, "heads"), ["heads > 0", "got 0"]),
    (_with_stage(1, unique=-2), ("stages", 1, "unique"), ["unique > 0", "got -2"]),
    (_with_stage(1, loops=0), ("stages", 1, "loops"), ["loops > 0", "got 0"]),
    (
        _with_stage(1, loops=(1, 2, 3)),
        ("stages", 1, "loops"),
        ["stage 1", "each of the 2 unique blocks", "got 3", "[1, 2, 3]"],
    ),
    (
        _with_stage(1, loops=()),
        ("stages", 1, "loops"),
        ["stage 1", "each of the 2 unique blocks", "got 0", "[]"],
    ),
    (
        _with_stage(1, loops=(2, 0)),
        ("stages", 1, "loops", 1),
        ["stage 1", "loops > 0", "block 1 has 0"],
    ),
    (
        _with_stage(1, loops=(-3, 2)),
        ("stages", 1, "loops", 0),
        ["stage 1", "loops > 0", "block 0 has -3"],
    ),
    (_with_stage(1, mlp_ratio=-0.5), ("stages", 1, "mlp_ratio"), ["mlp_ratio > 0", "got -0.5"]),
    (_with_stage(1, mlp_ratio=INF), ("stages", 1, "mlp_ratio"), ["mlp_ratio > 0", "got inf"]),
    (
        _with_stage(1, heads=6),
        ("stages", 1, "heads"),
        ["stage 1", "heads must divide", "16 channels", "6 heads", "4 or 8"],
    ),
    (
        _with_stage(1, mlp_ratio=0.01),
        ("stages", 1, "mlp_ratio"),
        ["stage 1", "mlp_ratio 0.01", "no hidden channel", "at least 0.0625", "width 16"],
    ),
    (_with_stage(1, groups=()), ("stages", 1, "groups"), ["stage 1", "at least one entry"]),
    (
        _with_stage(1, groups=(1, 6)),
        ("stages", 1, "groups", 1),
        ["stage 1", "16 tokens cannot be cut into 6 groups", "4 or 8"],
    ),
    (_with_stage(0, groups=(0,)), ("stages", 0, "groups", 0), ["stage 0", "into 0 groups"]),
    (
        _with_stage(0, width=7, heads=1),
        ("stages", 0, "width"),
        ["stage 0", "half", "7 is odd", "6 or 8"],
    ),
    (
        _with_stage(1, width=12),
        ("stages", 1, "width"),
        ["stage 1", "multiple of the previous stage's 8", "got 12", "8 or 16"],
    ),
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


def _refusal(build, value):
    """The message that refuses a value; None where it is accepted."""
    try:
        build(value)
    except ArchitectureError as error:
        return str(error)
    return None


def test_no_two_broken_rules_have_the_same_message():
    messages = {_refusal(lambda changes: replace(GOOD, **changes), case) for case, *_ in BROKEN}
    assert None not in messages
    assert len(messages) == len(BROKEN)


# One architecture for each value of a field whose other values are all good.
OFFERS = {
    "heads": lambda heads: Architecture(8, 1, 2, (2,), (Stage(24, heads),)),
    "groups": lambda groups: Architecture(12, 1, 2, (2,), (Stage(8, 2, groups=(groups,)),)),
    "late_groups": lambda g: Architecture(9, 1, 2, (1,), (Stage(8, 2), Stage(8, 2, groups=(1, g)))),
    "even_width": lambda width: Architecture(8, 1, 2, (1, 2), (Stage(width, 1),)),
    "next_width": lambda width: Architecture(8, 1, 2, (2,), (Stage(6, 2), Stage(width, 1))),
    "patch": lambda side: Architecture(24, 1, 2, (side,), (Stage(8, 2),), stem="patch"),
}  # fmt: skip


@pytest.mark.parametrize("build", OFFERS.values(), ids=OFFERS)
def test_a_message_offers_the_nearest_values_and_they_build(build):
    refused = {value: _refusal(build, value) for value in range(1, 100)}
    good = [value for value, message in refused.items() if message is None]
    assert good
    for value in sorted(set(refused) - set(good)):
        offer = refused[value].rsplit("; ", 1)[1]
        offered = [int(number) for number in re.findall(r"-?\d+", offer)]
        assert 1 <= len(offered) <= 2
        assert [_refusal(build, number) for number in offered] == [None] * len(offered)
        nearest = min(abs(number - value) for number in good)
        assert min(abs(number - value) for number in offered) <= nearest


RATIOS = {
    "mlp_ratio": lambda width, ratio: Architecture(
        8, 1, 2, (2,), (Stage(width, 1, mlp_ratio=ratio),), nll=NLL("none")
    ),
    "nll_ratio": lambda width, ratio: Architecture(
        8, 1, 2, (2,), (Stage(width, 1),), nll=NLL("block", ratio)
    ),
}


@pytest.mark.parametrize("build", RATIOS.values(), ids=RATIOS)
def test_a_ratio_too_small_is_answered_with_the_smallest_that_works(build):
    for width in (*range(1, 300), 384, 512, 640, 750, 768, 999, 1000):
        with pytest.raises(ArchitectureError, match="no hidden channel") as caught:
            build(width, 1e-6)
        least = float(re.search(r"at least (\S+) is needed", str(caught.value))[1])
        build(width, least)
        with pytest.raises(ArchitectureError, match=r"no hidden channel|ratio > 0"):
            build(width, round(least - 0.001, 3))


def test_a_broken_rule_is_a_value_error():
    with pytest.raises(ValueError, match="classes"):
        replace(GOOD, classes=0)


def test_one_convolution_may_have_an_odd_width():
    a = replace(GOOD, stem_strides=(2,), stages=(Stage(width=7, heads=7),))
    assert a.stem_channels == (7,)


def test_a_patch_may_be_wider_than_the_stride_of_a_convolution():
    a = replace(FULL, image_size=32, stem_strides=(16,))
    assert a.sides == (2,)
    assert a.stem_channels == (8,)


def test_one_patch_may_have_an_odd_width():
    a = replace(FULL, stages=(Stage(width=7, heads=7),))
    assert a.stem_channels == (7,)


def test_a_fixed_rank_needs_no_ratio():
    assert replace(GOOD, nll=NLL("block", 0.01, rank=1)).nll.hidden(8) == 1


def test_a_ratio_without_nll_is_not_checked_against_the_width():
    assert replace(GOOD, nll=NLL("none", 0.01)).nlls(GOOD.stages[0]) == 0


@pytest.mark.parametrize("a", [GOOD, FULL, *VARIANTS.values()], ids=["good", "full", *VARIANTS])
def test_an_architecture_survives_json(a):
    again = Architecture.from_dict(json.loads(json.dumps(a.to_dict())))
    assert again == a
    assert hash(again) == hash(a)


def test_any_candidate_survives_json():
    for a in candidates(300):
        plain = a.to_dict()
        assert Architecture.from_dict(plain) == a
        assert Architecture.from_dict(json.loads(json.dumps(plain))) == a


def test_plain_data_has_lists_for_loops_and_groups():
    plain = FULL.to_dict()
    assert plain["stages"][0]["loops"] == [1, 3, 3, 1]
    assert plain["stages"][0]["groups"] == [4, 2]
    assert plain["relax"] == {"norm": True, "gain": True, "lora": 2, "experts": 3}
    assert (plain["stem"], plain["order"]) == ("patch", "cycle")
    assert GOOD.to_dict()["stages"][1]["loops"] == 2


def _variations():
    """One change of each field of an architecture and its parts."""
    only_stage = {
        "width": 16, "heads": 4, "unique": 2, "loops": 5, "groups": (4,), "mlp_ratio": 1.0,
    }  # fmt: skip
    parts = {
        "nll": {"share": "execution", "ratio": 2.0, "rank": None},
        "residual": {"kind": "lrc", "init": 0.2, "lam": 1.0, "p": 1.0, "q": 0.5},
        "relax": {"norm": False, "gain": False, "lora": None, "experts": 1},
        "loop": {"injection": "add", "embedding": "film", "readout": "mean", "streams": 2},
    }
    network = {
        "image_size": 16, "in_channels": 1, "classes": 3, "stem_strides": (4,),
        "stem": "convolutions", "order": "sequence", "permutation": "none", "drop_path": 0.0,
        "norm": "pre",
    }  # fmt: skip
    base = replace(FULL, stages=(replace(FULL.stages[0], loops=3),))
    yield base, "base"
    for name, value in network.items():
        yield replace(base, **{name: value}), name
    for part, values in parts.items():
        for name, value in values.items():
            yield replace(base, **{part: replace(getattr(base, part), **{name: value})}), name
    for name, value in only_stage.items():
        yield replace(base, stages=(replace(base.stages[0], **{name: value}),)), name
    yield replace(base, stages=(*base.stages, Stage(16, 2))), "stages"
    yield FULL, "loops"


def test_every_field_tells_two_architectures_apart():
    changed = list(_variations())
    fields = [f.name for kind in (Architecture, Stage, NLL, Residual, Relax, Loop)
              for f in dataclasses.fields(kind)]  # fmt: skip
    assert {name for _, name in changed} == {"base", *fields} - {"nll", "residual", "relax", "loop"}
    assert len({a for a, _ in changed}) == len(changed)
    assert len({json.dumps(a.to_dict()) for a, _ in changed}) == len(changed)


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


def test_loops_may_differ_between_blocks():
    stage = Stage(8, 2, unique=4, loops=(1, 3, 3, 1))
    assert [stage.loops_of(block) for block in range(4)] == [1, 3, 3, 1]
    assert stage.executions == 8
    assert stage.blocks_by_loops == {1: 2, 3: 2}
    assert Stage(8, 2, unique=4, loops=3).blocks_by_loops == {3: 4}
    assert [Stage(8, 2, unique=4, loops=3).loops_of(block) for block in range(4)] == [3, 3, 3, 3]


def test_one_number_of_loops_is_a_list_of_the_same_number():
    for order in ("sequence", "cycle"):
        number, numbers = (
            replace(FULL, order=order, stages=(replace(FULL.stages[0], loops=loops),))
            for loops in (3, (3, 3, 3, 3))
        )
        assert number.executions == numbers.executions == 12
        assert number.schedule(number.stages[0]) == numbers.schedule(numbers.stages[0])
        assert number.stages[0].blocks_by_loops == numbers.stages[0].blocks_by_loops


@pytest.mark.parametrize(
    ("order", "loops", "runs"),
    [
        ("sequence", (2, 2), "AABB"),
        ("cycle", (2, 2), "ABAB"),
        ("sequence", (1, 3, 3, 1), "ABBBCCCD"),
        ("cycle", (1, 3, 3, 1), "ABCBCBCD"),
        ("cycle", (2, 2, 3, 3), "ABABCDCDCD"),
        ("cycle", (2, 3, 2), "AABBBCC"),
        ("cycle", (1, 1, 1), "ABC"),
        ("cycle", (4,), "AAAA"),
    ],
)
def test_neighbours_with_equally_many_loops_take_turns_in_a_cycle(order, loops, runs):
    stage = Stage(8, 2, unique=len(loops), loops=loops)
    a = replace(GOOD, order=order, stages=(stage,))
    schedule = a.schedule(stage)
    assert "".join("ABCD"[run.block] for run in schedule) == runs
    for block, count in enumerate(loops):
        assert [run.loop for run in schedule if run.block == block] == list(range(count))


@pytest.mark.parametrize("order", ["sequence", "cycle"])
@pytest.mark.parametrize(
    ("share", "nlls"),
    [
        ("none", {"sequence": [None] * 6, "cycle": [None] * 6}),
        ("stage", {"sequence": [0] * 6, "cycle": [0] * 6}),
        ("block", {"sequence": [0, 1, 1, 2, 2, 3], "cycle": [0, 1, 2, 1, 2, 3]}),
        ("execution", {"sequence": [*range(6)], "cycle": [*range(6)]}),
    ],
)
def test_each_execution_is_followed_by_the_nll_of_its_share(share, nlls, order):
    stage = Stage(8, 2, unique=4, loops=(1, 2, 2, 1))
    a = replace(GOOD, order=order, nll=NLL(share), stages=(stage,))
    assert [run.nll for run in a.schedule(stage)] == nlls[order]
    assert a.nlls(stage) == len(set(nlls[order]) - {None})


SHARED = replace(GOOD, nll=NLL("block", 0.5))
LISTED = tuple(replace(s, loops=n) for s, n in zip(GOOD.stages, [(5,), (1, 4)], strict=True))
DEEP = tuple(replace(stage, loops=9) for stage in GOOD.stages)


@pytest.mark.parametrize(
    ("a", "changes"),
    [
        (SHARED, {"stages": DEEP}),
        (SHARED, {"stages": LISTED}),
        (SHARED, _with_stage(0, groups=(1,))),
        (SHARED, {"order": "cycle"}),
        (SHARED, {"permutation": "official"}),
        (SHARED, {"drop_path": 0.5}),
        (SHARED, {"residual": Residual("lrc", init=2.0, lam=2.0, p=0.0, q=0.0)}),
        (SHARED, {"image_size": 15}),
        (replace(SHARED, relax=Relax(experts=3)), {"stages": DEEP}),
        (replace(SHARED, residual=Residual("layerscale")), {"stages": DEEP}),
        (replace(SHARED, nll=NLL("stage", 0.5)), {"stages": DEEP}),
        (GOOD, {"order": "cycle"}),
        (FULL, {"order": "sequence", "drop_path": 0.0, "permutation": "none"}),
        (FULL, {"stages": (replace(FULL.stages[0], groups=(1,)),)}),
        (FULL, {"residual": Residual("scaled", p=2.0)}),
    ],
)
def test_the_same_weights_fit_where_only_the_run_differs(a, changes):
    other = replace(a, **changes)
    assert other != a
    assert other.weights == a.weights
    assert hash(other.weights) == hash(a.weights)


def _relaxed(**relax):
    return replace(SHARED, relax=Relax(**relax))


@pytest.mark.parametrize(
    ("a", "changes"),
    [
        *((SHARED, changes) for changes in (
            {"image_size": 32}, {"in_channels": 3}, {"classes": 9}, {"stages": GOOD.stages[:1]},
            {"stem_strides": (2,)}, {"stem_strides": (2, 1, 1)}, {"nll": NLL("none", 0.5)},
            {"nll": NLL("stage", 0.5)}, {"nll": NLL("execution", 0.5)}, {"nll": NLL("block", 1.0)},
            {"nll": NLL("block", 0.5, rank=3)}, {"residual": Residual("scaled")},
            {"residual": Residual("layerscale")}, _with_stage(1, width=32), _with_stage(1, heads=2),
            _with_stage(1, unique=1), _with_stage(1, mlp_ratio=1.0), {"relax": Relax(norm=True)},
            {"relax": Relax(gain=True)}, {"relax": Relax(lora=1)}, {"relax": Relax(experts=2)},
        )),
        (replace(SHARED, stem_strides=(2,)), {"stem": "patch"}),
        (GOOD, {"stages": DEEP}),
        (_relaxed(norm=True), {"stages": DEEP}),
        (_relaxed(gain=True), {"stages": DEEP}),
        (_relaxed(lora=2), {"stages": DEEP}),
        (_relaxed(lora=2), {"stages": LISTED}),
        (_relaxed(lora=2), {"relax": Relax(lora=3)}),
        (_relaxed(experts=2), {"relax": Relax(experts=3)}),
        (FULL, {"stages": (replace(FULL.stages[0], loops=(3, 1, 1, 3)),)}),
    ],
)  # fmt: skip
def test_other_weights_are_told_apart(a, changes):
    assert replace(a, **changes).weights != a.weights


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
