"""A path that begins with ~ lies in the home folder, wherever it is named; or there is none."""

import os
import pwd
from pathlib import Path

import pytest

from sret_search.__main__ import COMMANDS, main
from sret_search.architecture.variants import VARIANTS
from sret_search.commands.evaluate import read_data
from sret_search.execution import nodes
from sret_search.job import Data
from sret_search.job.paths import PathError, expanded, model_parts
from sret_search.model import SReT, load, save
from sret_search.planning import preflight
from sret_search.study import StudyError, load_architecture, load_study
from sret_search.training import data
from sret_search.training.data import cache
from sret_search.training.pretrained import PretrainedError, load_model, provenance

SPACE = "architecture: sret_digits\naxes:\n  stages.*.loops: {choices: [1, 2]}\n"
STUDY = "study: at_home\nspace: ~/space.yaml\n"
DIGITS = VARIANTS["sret_digits"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a study and a model, and another working directory."""
    folder, here = tmp_path / "home", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(here)
    (folder / "space.yaml").write_text(SPACE)
    (folder / "study.yaml").write_text(STUDY)
    save(SReT(DIGITS), folder / "model.safetensors")
    return folder


@pytest.fixture
def nowhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who is not known to the system, and has no home folder."""

    def unknown(user: object) -> None:
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_a_home_folder_is_written_out(home: Path) -> None:
    assert expanded("~") == str(home)
    assert expanded("~/a b") == f"{home}/a b"
    assert expanded(f"~{pwd.getpwuid(0).pw_name}/a") == f"{pwd.getpwuid(0).pw_dir}/a"
    assert [expanded(path) for path in ("a/~", "./~", "", "/~/b")] == ["a/~", "./~", "", "/~/b"]
    assert model_parts("~/m") == (None, f"{home}/m")
    assert model_parts("sret_t:~/m.pth") == ("sret_t", f"{home}/m.pth")


@pytest.mark.parametrize("path", ["~nobody_of_that_name/x", "~nobody_of_that_name"])
def test_another_users_home_that_is_not_there_is_refused(path: str, home: Path) -> None:
    with pytest.raises(PathError, match="there is no home folder ~nobody_of_that_name; write"):
        expanded(path)


def test_every_path_of_a_study_may_begin_at_home(home: Path) -> None:
    recipe = "recipe: {epochs: 1, init: ~/model.safetensors}\nstorage: {trials: ~/trials}\n"
    (home / "study.yaml").write_text(STUDY + recipe)
    made = load_study("~/study.yaml")
    assert made.path == home / "study.yaml"
    assert made.trials_root == f"{home}/trials/at_home"
    assert made.space_source.file == home / "space.yaml"
    preflight.check(made)
    # What identifies a training says what the file says.
    assert made.file.recipe.init == "~/model.safetensors"
    assert not any(Path().iterdir())


def test_trials_that_an_earlier_program_left_stay_where_they_are(home: Path) -> None:
    (home / "study.yaml").write_text(STUDY + "storage: {trials: ~/trials}\n")
    Path("~/trials/at_home").mkdir(parents=True)
    assert load_study(home / "study.yaml").trials_root == "~/trials/at_home"


def test_a_teacher_that_is_not_at_home_is_named_in_its_place(home: Path) -> None:
    teacher = "recipe: {epochs: 1, distill: {teacher: sret_t:~/t.pth}}\n"
    (home / "study.yaml").write_text(STUDY + teacher)
    with pytest.raises(StudyError) as caught:
        preflight.check(load_study(home / "study.yaml"))
    assert f"study.yaml:3:40: no weights for 'sret_t:~/t.pth': {home}/t.pth is" in str(caught.value)


def test_models_data_and_architectures_are_read_from_home(home: Path) -> None:
    for model in (load_model("~/model.safetensors"), load("~/model.safetensors"), load("~")):
        assert isinstance(model, SReT)
    assert provenance("~/model.safetensors") is None
    assert load_architecture("~/space.yaml") == DIGITS
    assert read_data("~/study.yaml") == Data()
    with pytest.raises(PretrainedError, match=f"{home}/t.pth cannot be read"):
        load_model("sret_t:~/t.pth")
    with pytest.raises(data.DataError, match=f"no folder of images at {home}/photos"):
        data.load(Data(imagefolder="~/photos"))
    (home / "photos").mkdir()
    assert nodes.look(None, "~/photos", "a") == ""


def test_options_of_commands_may_begin_at_home(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "--out", "~"]) == 0
    assert (home / "studies" / "study.schema.json").is_file()
    assert main(["export", "~/study.yaml", "--trial", "0", "--out", "~"]) == 2
    assert f"--out {home}: the folder is not empty" in capsys.readouterr().err
    assert main(["evaluate", "~/none.safetensors"]) == 2
    assert f"{home}/none.safetensors: no such file or folder" in capsys.readouterr().err
    assert not any(Path().iterdir())


WRONG = [
    ("2:8", STUDY),
    ("3:21", "study: s\nspace: space.yaml\ndata: {imagefolder: ~/photos}\n"),
    ("3:29", "study: s\nspace: space.yaml\ndata: {name: cifar10, root: ~/data}\n"),
    ("3:20", "study: s\nspace: space.yaml\nstorage: {trials:  ~/trials}\n"),
    ("3:27", "study: s\nspace: space.yaml\nrecipe: {epochs: 1, init: ~/m}\n"),
]


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(("place", "text"), WRONG)
def test_a_path_in_no_home_is_refused_in_its_place(place: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "home" / "study.yaml"
    file.write_text(text)
    with pytest.raises(StudyError) as caught:
        preflight.check(load_study(file))
    (line,) = [line for line in str(caught.value).splitlines() if "home folder" in line]
    assert line.startswith(f"{file}:{place}: ~/")
    assert "there is no home folder ~; write the whole path" in line


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("doctor", "completion")])
def test_an_argument_in_no_home_is_refused(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sret_search.execution import supervisor

    monkeypatch.setattr(supervisor, "driven", lambda work, ended: work())
    others = {"schema": ["--out", "~"], "export": ["~/s", "--trial", "0", "--out", "x"]}
    assert main([command, *others.get(command, ["~/s"])]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "there is no home folder ~; write the whole path" in error


@pytest.mark.usefixtures("nowhere")
def test_without_a_home_nothing_is_cached() -> None:
    with cache.locked("name") as problem:
        assert problem == "this user has no home folder"
    assert cache.find("name") is None
    with pytest.raises(data.DataError, match="there is no home folder ~"):
        data.load(Data(imagefolder="~/photos"))
    assert not os.path.exists("~")
