"""`sret-search cost`: a table, an object, and one line for what is wrong."""

import json

import pytest

from sret_search.__main__ import main
from sret_search.architecture.variants import VARIANTS
from sret_search.cost import cost

ALONE = """\
image_size: 8
in_channels: 1
classes: 10
stem_strides: [1, 2]
stages:
  - {width: 16, heads: 2, unique: 3, loops: [1, 6, 1], groups: [4, 2]}
nll: {share: stage}
relax: {lora: 2}
"""


def _json(capsys, *arguments):
    assert main(["cost", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["sret_t", "sret_1000_nll_stage"])
def test_a_variant_is_printed_as_an_object(name, capsys):
    facts, known = _json(capsys, name), cost(VARIANTS[name])
    for key in ("params", "params_once", "params_shared", "macs", "executions", "unique_blocks"):
        assert facts[key] == getattr(known, key)
    assert sum(facts["breakdown"]["params"].values()) == facts["params"]
    assert sum(facts["breakdown"]["macs"].values()) == facts["macs"]
    assert facts["memory"]["kept"] > facts["memory"]["recomputed"] > 16 * facts["params"]


def test_memory_follows_the_batch(capsys):
    small, large = (_json(capsys, "sret_t", "--batch", n)["memory"]["kept"] for n in ("8", "80"))
    weights = 12 * cost(VARIANTS["sret_t"]).params
    assert (large - weights) / (small - weights) == pytest.approx(10, rel=0.1)


def test_a_table_shows_parts_and_depth(capsys):
    assert main(["cost", "sret_t"]) == 0
    out = capsys.readouterr().out
    for fragment in ("4,755,979", "1,112,444,672", "1,159,208", "24.4", "executions", "20"):
        assert fragment in out


def test_a_file_may_hold_an_architecture_or_a_space(tmp_path, capsys):
    alone, space = tmp_path / "alone.yaml", tmp_path / "space.yaml"
    alone.write_text(ALONE)
    indented = "".join(f"  {line}\n" for line in ALONE.splitlines())
    space.write_text(f"architecture:\n{indented}axes: {{nll.share: {{choices: [none]}}}}\n")
    facts = _json(capsys, str(alone))
    assert facts["executions"] == 8
    assert facts["breakdown"]["params"]["relaxed"] == 6 * 2 * (8 * 16 + 2 * 64)
    assert _json(capsys, str(space)) == facts


@pytest.mark.parametrize(
    ("old", "new", "place", "fragment"),
    [
        ("[1, 6, 1]", "[1, 6]", ":6:45: ", "one for each of the 3 unique blocks, but got 2"),
        ("[1, 6, 1]", "many", ":6:45: ", "whole number is needed"),
        ("lora: 2", "rank: 2", ":8:9: ", "unknown key rank"),
        ("lora: 2", "lora: 0", ":8:15: ", "`lora > 0` must hold"),
        ("[4, 2]", "[4, 3]", ":6:68: ", "16 tokens cannot be cut into 3 groups; 2 or 4 would do"),
        ("classes: 10\n", "", ":1:1: ", "classes is needed"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_with_its_place(
    old, new, place, fragment, tmp_path, capsys
):
    file = tmp_path / "wrong.yaml"
    file.write_text(ALONE.replace(old, new))
    assert main(["cost", str(file)]) == 2
    error = capsys.readouterr().err
    assert place in error
    assert fragment in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["sret_m"], "sret_m is neither a named architecture nor a file; did you mean"),
        (["missing.yaml"], "missing.yaml: no such file"),
    ],
)
def test_what_does_not_exist_is_said_in_one_line(arguments, fragment, capsys):
    assert main(["cost", *arguments]) == 2
    assert fragment in capsys.readouterr().err


@pytest.mark.parametrize("batch", ["0", "-1", "many", "1.5"])
def test_a_batch_is_a_positive_number(batch, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["cost", "sret_t", "--batch", batch])
    assert "at least 1 is needed" in capsys.readouterr().err
