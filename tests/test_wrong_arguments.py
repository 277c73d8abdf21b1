"""Every command with an argument that is not there, of the wrong kind, or cannot be read or
written: one line, exit 2."""

import json
from pathlib import Path

import pytest

from sret_search.__main__ import main
from sret_search.architecture.variants import VARIANTS
from sret_search.execution import supervisor
from sret_search.model import SReT, save
from sret_search.planning import preflight
from sret_search.planning.user_inputs import check_inputs
from sret_search.study import Study, StudyError, load_study

UNREADABLE = "/proc/self/mem"
"""A file of which no byte can be read, whoever tries."""
UNWRITABLE = "/proc/folder"
ODD = ["missing.yaml", "missing/study.yaml", "folder", "", "\0", "x" * 5000, UNREADABLE, "null"]
STUDY = [["plan", "ODD"], ["run", "ODD"], ["report", "ODD"], ["cost", "ODD"],
         ["export", "ODD", "--trial", "0", "--out", "new"],
         ["evaluate", "model.safetensors", "--data", "ODD"]]  # fmt: skip
MODEL = ["missing.safetensors", "missing.pth", "folder", "", "\0", "x" * 5000, UNREADABLE,
         f"sret_t:{UNREADABLE}", "sret_t:missing.pth", "sret_t:folder", "sret_t:", "sret_t:\0",
         ":", "sret_x:model.safetensors", "torchvision:", "trial 3", "~none_of_that_name/x",
         "sret_t:model.safetensors", "text.safetensors", "sret_t:text.safetensors"]  # fmt: skip
OUT = [
    ["schema", "--out", "study.yaml"], ["schema", "--out", UNWRITABLE],
    ["schema", "--out", "x" * 5000], ["schema", "--out", "\0"],
    ["export", "study.yaml", "--trial", "0", "--out", "study.yaml"],
    ["export", "study.yaml", "--trial", "0", "--out", "folder"],
    ["export", "study.yaml", "--trial", "0", "--out", "x" * 5000],
    ["export", "study.yaml", "--trial", "0", "--out", "\0"],
    ["report", "study.yaml", "other.yaml"],
    ["evaluate", "model.safetensors"],
    ["evaluate", "model.safetensors", "--data", "{name: [}"],
    ["evaluate", "model.safetensors", "--data", "{" + 5000 * "[" + "}"],
    ["evaluate", "model.safetensors", "--data", '{name: "\\ud800"}'],
    ["evaluate", "model.safetensors", "--data", "{imagefolder: missing}"],
    ["evaluate", "model.safetensors", "--data", "{imagefolder: study.yaml}"],
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study, a model, and a folder that has a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervisor, "driven", lambda work, ended: work())
    Path("folder").mkdir()
    Path("folder/file").touch()
    Path("null").write_text("null\n")
    Path("text.safetensors").write_text("hello\n")
    Path("space.yaml").write_text("architecture: sret_digits\naxes:\n  drop_path: {choices: [0]}\n")
    for name in ("study", "other"):
        Path(f"{name}.yaml").write_text(f"study: {name}\nspace: space.yaml\n")
    save(SReT(VARIANTS["sret_digits"]), "model.safetensors")


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command ends with."""
    try:
        code = main(arguments)
    except SystemExit as end:  # argparse prints its usage first
        code = end.code
    said = capsys.readouterr()
    lines = said.err.splitlines()
    usage = bool(lines) and lines[0].startswith("usage: ")
    assert code == 2, said
    assert said.out == ""
    assert lines if usage else len(lines) == 1, lines
    assert "Traceback" not in said.err
    return lines[-1]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd[:12]))
@pytest.mark.parametrize("command", STUDY, ids=lambda command: command[0])
def test_a_file_that_is_no_study_is_refused(
    command: list[str], odd: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused([odd if word == "ODD" else word for word in command], capsys)


@pytest.mark.parametrize("name", MODEL, ids=lambda name: repr(name[:24]))
def test_a_model_that_cannot_be_had_is_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(["evaluate", name, "--data", "{name: digits}"], capsys)


@pytest.mark.parametrize(
    "arguments", OUT, ids=lambda words: " ".join(words)[:60].replace("\0", "0")
)
def test_what_cannot_be_written_or_used_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(arguments, capsys)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd[:12]))
@pytest.mark.parametrize(
    "field", ["space", "recipe.init", "recipe.distill.teacher", "data.imagefolder"]
)
def test_a_path_in_a_study_that_leads_nowhere_is_refused(field: str, odd: str) -> None:
    with pytest.raises(StudyError) as caught:
        check_inputs(checked(field, odd))
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith(("odd.yaml:", "null:1:1: "))


@pytest.mark.parametrize("odd", ["\0", "x" * 5000, UNREADABLE, "null"], ids=repr)
def test_a_place_for_trials_that_cannot_be_a_folder_is_refused(odd: str) -> None:
    with pytest.raises(StudyError) as caught:
        checked("storage.trials", odd)
    assert len(str(caught.value).splitlines()) == 1


def checked(field: str, value: str) -> Study:
    """A study with this value, as a run looks at it before Ray starts."""
    text = json.dumps(value)
    for part in reversed(field.split(".")):
        text = f"{{{part}: {text}}}"
    others = {"study": "study: odd", "space": "space: space.yaml", "recipe": "", "data": ""}
    lines = [line for key, line in others.items() if line and key != field]
    Path("odd.yaml").write_text("\n".join([*lines, text[1:-1], ""]))
    study = load_study("odd.yaml")
    preflight.check(study)
    return study
