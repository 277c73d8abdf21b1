"""The JSON schemas of both files: committed as generated, and true of every shipped file."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from sret_search.__main__ import main
from sret_search.commands.schema import FILES, written
from sret_search.config.json_schema import space_schema, study_schema
from sret_search.config.yaml_source import read

ROOT = Path(__file__).parents[2]
SHIPPED = [
    *((path, space_schema) for path in sorted((ROOT / "spaces").rglob("*.yaml"))),
    *((path, study_schema) for path in sorted((ROOT / "studies").rglob("*.yaml"))),
]


def names(pairs):
    return [str(path.relative_to(ROOT)) for path, _ in pairs]


@pytest.mark.parametrize("name", FILES)
def test_the_committed_schema_is_the_generated_one(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == written(FILES[name]()), "python -m sret_search schema --out ."


@pytest.mark.parametrize(("path", "made"), SHIPPED, ids=names(SHIPPED))
def test_a_shipped_file_is_valid_and_names_its_schema(path, made):
    jsonschema.validate(read(path).data, made(), jsonschema.Draft202012Validator)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    wanted = {space_schema: "space.schema.json", study_schema: "study.schema.json"}[made]
    assert (path.parent / named).resolve().name == wanted
    assert (path.parent / named).resolve().is_file()


SPACE = """\
architecture: sret_digits
axes:
  stages.0.width: {choices: [16, 32]}
  stages.*.groups: {divisors: tokens, low: 1, high: 4, entries: 2}
  recipe.lr: {low: 1e-3, high: 1e-2, log: true}
  stem_strides.1: {choices: [1, 2]}
  nll.rank: {same_as: stages.0.width, times: 0.5, plus: 1, when: {stages.0.width: [16]}}
budget: {params: {max: 1000}, memory: {max: 2GB}, seconds: {max: 1.5}}
"""


def validated(text, schema):
    plain = json.loads(json.dumps(YAML(typ="safe").load(text)))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(plain, schema, jsonschema.Draft202012Validator)


def test_every_key_of_a_space_is_in_the_schema():
    validated(SPACE, space_schema())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sret_digits", "sret_digit"),
        ("divisors: tokens", "divisors: token"),
        ("entries: 2", "entries: 0"),
        ("axes:", "axis:"),
        ("stages.0.width: {choices", "stages.0.widht: {choices"),
        ("recipe.lr", "recipe.lrr"),
        ("low: 1e-3", "low: small"),
        ("2GB", "2 apples"),
        ("params: {max", "params: {maximum"),
    ],
)
def test_a_mistake_in_a_space_is_one_to_an_editor_too(old, new):
    assert SPACE.count(old) == 1
    with pytest.raises(jsonschema.ValidationError):
        validated(SPACE.replace(old, new), space_schema())


def test_a_named_recipe_is_valid_alone_and_with_keys():
    for recipe in ("small", "{name: small, epochs: 3}", "{epochs: 3, augment: {flip: true}}"):
        validated(f"study: s\nspace: s.yaml\nrecipe: {recipe}\n", study_schema())
    for recipe in ("smal", "{name: smal}", "{epoch: 3}"):
        with pytest.raises(jsonschema.ValidationError):
            validated(f"study: s\nspace: s.yaml\nrecipe: {recipe}\n", study_schema())


@pytest.mark.parametrize("made", [space_schema, study_schema])
def test_every_key_is_described(made):
    schema = made()
    parts = {"the file": schema, **schema["$defs"]}
    for name, part in parts.items():
        assert part.get("description"), name
        assert part["additionalProperties"] is False, name
        for key, one in part["properties"].items():
            assert one.get("description"), f"{key} of {name}"
    assert "channels of a token" in json.dumps(space_schema())


def test_the_command_prints_or_writes_both(tmp_path, capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == {name: made() for name, made in FILES.items()}
    assert main(["schema", "--out", str(tmp_path)]) == 0
    for name, made in FILES.items():
        assert (tmp_path / name).read_text(encoding="utf-8") == written(made())
    (tmp_path / "file").write_text("")
    capsys.readouterr()
    assert main(["schema", "--out", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err
