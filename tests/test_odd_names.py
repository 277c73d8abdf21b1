"""Folders and files may have every name that the system allows."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from made_up import complete, run

from sret_search.__main__ import main
from sret_search.architecture.variants import VARIANTS
from sret_search.artifacts.trial_folders import TrialFolders, attempt_key
from sret_search.config.problems import shown, typed
from sret_search.errors import encodable, one_line
from sret_search.job import Data, Job, Recipe
from sret_search.job.paths import check_name, model_parts, trial_named
from sret_search.model import SReT, save
from sret_search.planning import preflight
from sret_search.reporting.results import Results
from sret_search.run import _resume
from sret_search.study import StudyError, load_study
from sret_search.training import checkpoints
from sret_search.training.pretrained import load_model, provenance

NAMES = [
    "what?", "a?b=c&d", "#1", "100%", "%20", "*", "[1]", "[a-z]*", "two words", " ", "new\nline",
    "tab\t", "it's", 'a "quote"', "back\\slash", "$HOME", "`ls`", "-x", "--fresh", "~", "~root",
    "a:b", "sret_t:b", "http:", "{name}", "(a;b)|c>&", "größe", "漢字", "🙂", "e\u0301",
    os.fsdecode(b"\xff\xe9"), "\x1b[31m", "\u202e", "trial 3", "x" * 200,
]  # fmt: skip
DIGITS = VARIANTS["sret_digits"]
SPACE = "architecture: sret_digits\naxes:\n  stages.*.loops: {choices: [1]}\n"
STUDY = "study: odd\nspace: space.yaml\nrecipe: {epochs: 1, init: MODEL}\n"


@pytest.fixture(params=NAMES, ids=lambda name: one_line(name)[:10])
def odd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An odd name, in a working directory of that name."""
    name: str = request.param
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    return name


def test_a_study_lies_in_a_folder_of_any_name(odd: str) -> None:
    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text(STUDY.replace(", init: MODEL", ""))
    made = run(load_study("study.yaml"), lambda entry: complete(0.9), most=1)
    if encodable(odd) == odd:
        preflight.check(made)
    else:  # in which Ray does not start
        with pytest.raises(
            StudyError, match=r"the working directory, .*\\xff.*, is not UTF-8, and"
        ):
            preflight.check(made)
    folders = TrialFolders(made.trials_root)
    attempt = folders.new_attempt(0)
    assert attempt_key(attempt) == "00000/attempt-1"
    assert folders.attempts(0) == [attempt]
    assert folders.all_attempts() == {0: [attempt]}
    (Path(attempt) / "checkpoint-00000001.pt").touch()
    assert folders.checkpoints(attempt) == ["checkpoint-00000001.pt"]
    assert len(Results.read(made).entries) == 1


def test_trials_and_models_lie_in_a_folder_of_any_name(odd: str) -> None:
    """Of a name that is given in full, or from here after ./, as a path that looks otherwise."""
    there = Path(odd)
    there.mkdir()
    save(SReT(DIGITS), there / "model.safetensors")
    for name in (f"./{odd}", f"./{odd}/model.safetensors", str(there.absolute())):
        assert model_parts(name)[0] is None
        assert isinstance(load_model(name), SReT)
        assert provenance(name) is None
        Recipe(epochs=1, init=name)


def test_checkpoints_are_found_in_a_folder_of_any_name(odd: str) -> None:
    job = Job(DIGITS, Recipe(epochs=1), Data(), seed=0)
    attempt = Path("attempt-1").absolute()
    attempt.mkdir()
    state = {"job": job.identity, "step": 3, "can_go_on": False, "weights": torch.zeros(3)}
    checkpoints.save_checkpoint(attempt, state)
    found = checkpoints.newest_checkpoint([attempt], job, 5)
    assert found is not None
    assert found["step"] == 3


def test_a_shell_reads_the_name_that_is_told(odd: str) -> None:
    file = Path(odd)
    file.write_text("no study")
    command = _resume(file).partition("resume with: ")[2]
    assert "\n" not in command
    script = f'python() {{ printf %s "$3"; }}\n{command}'
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert os.path.samefile(os.fsdecode(said), file)
    assert Path(os.fsdecode(said)).is_absolute() or not said.startswith((b"-", b"~"))


def test_an_error_about_it_is_one_line(odd: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(odd).write_text("study: odd\n")
    assert main(["plan", f"./{odd}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(":1:1: space is needed")
    assert shown(Path(odd)) in line
    assert typed(Path(odd))


@pytest.mark.parametrize(
    "name",
    ["trials/00003", "trial_runs", "trialset", "trials", "./trial 3", "trial 3/m", "trial.x"],
)
def test_a_path_that_begins_like_a_trial_is_a_path(name: str) -> None:
    check_name("init", name)
    assert trial_named(name) is None


@pytest.mark.parametrize("name", ["trial", "trial3", "trial  3", "trial -1", "trial x", "trial-3"])
def test_what_is_nearly_a_trial_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="init: trial N` needs the number of a trial, but got"):
        check_name("init", name)
