"""The pages: every command is one, every snippet is valid, every link leads somewhere."""

import ast
import importlib.util
import json
import re
import shlex
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
from ruamel.yaml import YAML

from sret_search.__main__ import COMMANDS
from sret_search.architecture import Architecture
from sret_search.config.json_schema import space_schema, study_schema
from sret_search.export.extras import ExtraError
from sret_search.study import load_study

ROOT = Path(__file__).parents[1]
PAGES = [
    path
    for path in (*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md")))
    if path.name != "log.md"
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:sret-search|python -m sret_search)[^`]*)`")
STARTS = (["python", "-m", "sret_search.run"], ["python", "-m", "sret_search"], ["sret-search"])
SHIPPED = ("studies/", "spaces/", "benchmarks/")
SITE = YAML(typ="safe").load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def ids(paths):
    return [path.name for path in paths]


def blocks(page, *kinds):
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for kind, text in found if kind in kinds]


def told(line):
    """The words after the name of this program, where a line is a command of it."""
    # Words for what the reader puts there are no comments; & and > are the shell's.
    words = shlex.split(line.split(" > ")[0].rstrip("& \\"), comments=True)
    words = words[1:] if words[:1] == ["$"] else words
    for start in STARTS:
        if words[: len(start)] == start:
            return (["run"] if len(start[-1].split(".")) == 2 else []) + words[len(start) :]
    return None


def commands(page):
    lines = [line for text in blocks(page, "", "sh", "bash") for line in text.splitlines()]
    found = [words for line in lines if (words := _told(line))]
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    inline = [told(" ".join(line.split())) for line in INLINE.findall(text)]
    return found + [
        words for words in inline if words and not (len(words) == 1 and words[0] in COMMANDS)
    ]


def _told(line):
    return told(line) if line.strip().startswith(("sret-search", "python -m sret_search")) else None


def test_there_are_many_commands():
    assert sum(len(commands(page)) for page in PAGES) > 30


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_the_commands_of_a_page_are_understood(page):
    text = page.read_text(encoding="utf-8")
    for words in commands(page):
        if words in (["--help"], ["--version"]):
            continue
        parser = import_module(COMMANDS[words[0]].module).parser(words[0])
        arguments = parser.parse_args(words[1:])
        for value in vars(arguments).values():
            for given in value if isinstance(value, list) else [value]:
                if str(given).startswith(SHIPPED):
                    assert list(ROOT.glob(str(given))), f"{given} is not there"
                elif str(given).endswith(".yaml") and "/" not in str(given):
                    assert str(given) in text.replace(f" {given}", "", 1), f"{given} is not made"


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_the_files_that_a_page_names_are_there(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:sret_search|tests|studies|spaces|benchmarks|docs)/[^`\s<*…]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def keys(schema):
    return schema["properties"].keys()


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_the_yaml_of_a_page_is_valid(page):
    study, space = study_schema(), space_schema()
    for text in blocks(page, "yaml"):
        if page.name == "training.md":  # a list of lines, which test_docs holds to the schema
            continue
        plain = json.loads(json.dumps(YAML(typ="safe").load(text)))
        if plain.keys() <= keys(study):
            jsonschema.validate({"study": "s", "space": "s.yaml"} | plain, study)
        elif plain.keys() <= keys(space):
            jsonschema.validate({"architecture": "sret_t"} | plain, space)
        elif plain.keys() <= {"on", "name", "jobs", "repos"}:
            continue
        else:
            Architecture.from_dict(plain)


LOOPS = {"stages.*.loops": {"choices": [1, 2, 4, 5]}}
CONTRASTED = {
    "stages.0.groups": {"choices": [[1], [4, 2]]},
    "nll.share": {"choices": ["none", "block"]},
}
READ_WHOLE = ("own.md", "training.md", "tutorial.md")
"""Pages whose YAML other tests load, file by file or line by line."""


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_the_yaml_of_a_page_is_of_a_study_that_loads(page, tmp_path):
    """What the schema does not say: keys that need one another, values that must be of an axis."""
    if page.name in READ_WHOLE:
        return
    parts = [YAML(typ="safe").load(text) for text in blocks(page, "yaml")]
    arms = next((part["arms"] for part in parts if "arms" in part), {})
    for part in parts:
        axes = LOOPS | (CONTRASTED if "contrasts" in part else {})
        space = {"architecture": "sret_digits", "axes": axes}
        study = {"study": "s", "space": "space.yaml"}
        if part.keys() <= keys(space_schema()):
            space, study = part, study | {"search": {"sampler": "random", "trials": 4}}
        elif part.keys() <= keys(study_schema()):
            study |= part | ({"arms": arms} if "controls" in part else {})
            if "space" in part:
                study["space"] = str(ROOT / "spaces" / Path(part["space"]).name)
        else:
            continue
        for name, text in (("space", space), ("study", study)):
            (tmp_path / f"{name}.yaml").write_text(json.dumps(text), encoding="utf-8")
        assert load_study(tmp_path / "study.yaml").trials > 0


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_the_python_of_a_page_imports_what_there_is(page):
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sret_search"):
                try:
                    module = import_module(str(node.module))
                except ExtraError:
                    continue
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_studies_of_the_tutorial_load_and_their_spaces_are_not_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = []
    for text in blocks(ROOT / "docs" / "tutorial.md", "yaml"):
        name = text.splitlines()[0].removeprefix("# ")
        assert name.endswith(".yaml")
        Path(name).write_text(text, encoding="utf-8")
        written += [] if name.endswith("_space.yaml") else [name]
    assert len(written) >= 4
    for name in written:
        assert load_study(name).trials > 0


def navigated(entry):
    if isinstance(entry, str):
        return {entry}
    return set().union(*map(navigated, entry.values() if isinstance(entry, dict) else entry))


def site():
    found = importlib.util.spec_from_file_location("site_hook", ROOT / "docs" / "site.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_site_has_every_page():
    made = {*site().PAGES.values(), "reference/study.md", "reference/space.md"}
    assert navigated(SITE["nav"]) == made | {path.name for path in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize("made", [study_schema, space_schema])
def test_the_reference_has_every_key(made):
    page, schema = site().reference(made()), made()
    for mapping in (schema, *schema["$defs"].values()):
        for key in mapping.get("properties", {}):
            assert f"| `{key}` |" in page
    assert "[Stage](#stage)" in page or "[Search](#search)" in page


LINK = re.compile(r"\]\((?!https?:)([^)\s]*)\)")
OUTWARD = re.compile(r"\]\((\w+:[^)]*)\)")


def anchors(text):
    heads = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_links_lead_to_files_and_headings(page):
    text = page.read_text(encoding="utf-8")
    for link in LINK.findall(BLOCK.sub("", text)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_links_out_of_the_project_have_the_form_of_one(page):
    """That they answer is not looked at: tests ask no network."""
    for link in OUTWARD.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        parts = urlsplit(link)
        assert parts.scheme == "https", link
        assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), link
        assert not re.search(r"[\s<>\"]", link), link


def test_figures_are_those_that_are_drawn():
    code = (ROOT / "docs" / "figures.py").read_text(encoding="utf-8")
    drawn = set(re.findall(r'"(\w+)": \1\b', code))
    files = {path.stem: path for path in (ROOT / "docs" / "figures").glob("*.svg")}
    assert drawn == files.keys()
    assert all(path.stat().st_size < 60_000 for path in files.values())
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert all(f"](figures/{name}.svg)" in text for name in files)
