"""Wrong input: one line each with its place, exit 2, fast, without torch or Ray, nothing written."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

STUDY = """\
study: wrong
space: space.yaml
recipe: {epochs: 1}
compute: {address: local}
"""
SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2]}
  stages.0.groups: {choices: [[1], [4, 2]]}
budget: {params: {max: 100_000}}
"""

# name: (file to change, text to replace, its replacement, place, fragment of the message)
CASES = {
    "broken YAML": ("study.yaml", "{epochs: 1}", "{epochs: 1", "study.yaml:4:8", "not valid YAML"),
    "unknown key": ("study.yaml", "recipe:", "recipie:", "study.yaml:3:1", "did you mean recipe?"),
    "wrong type": ("study.yaml", "epochs: 1", "epochs: many", "study.yaml:3:18", "a number"),
    "no space": ("study.yaml", "space.yaml", "spice.yaml", "study.yaml:2:8", "no such space"),
    "groups": (
        "space.yaml",
        "[4, 2]",
        "[4, 3]",
        "space.yaml:4:36",
        "16 tokens cannot be cut into 3",
    ),
    "axis path": (
        "space.yaml",
        "*.loops",
        "*.lops",
        "space.yaml:3:3",
        "did you mean stages.*.loops?",
    ),
    "empty axis": ("space.yaml", "[1, 2]", "[]", "space.yaml:3:29", "at least one value"),
    "budget": ("space.yaml", "100_000", "1e3", "space.yaml:5:9", "no candidate meets the budget"),
    "part of two GPUs": (
        "study.yaml",
        "local}",
        "local, gpus_per_trial: 1.5}",
        "study.yaml:4:43",
        "1.5 GPUs: a trial has a part of one GPU",
    ),
    "a process without GPU": (
        "study.yaml",
        "local}",
        "local, gpus_per_trial: 0.5, processes_per_trial: 2}",
        "study.yaml:4:10",
        "each of 2 processes",
    ),
    "no GPU": ("study.yaml", "local}", "local, gpus_per_trial: 1}", "study.yaml:4:43", "GPUs"),
}

RUN = """
import sys
from sret_search.run import main
code = main(sys.argv[1:])
loaded = {"torch", "ray"} & set(sys.modules)
assert not loaded, loaded
sys.exit(code)
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )


def write(folder: Path, *change: str) -> set[Path]:
    for name, text in (("study.yaml", STUDY), ("space.yaml", SPACE)):
        if change and change[0] == name:
            assert change[1] in text
            text = text.replace(change[1], change[2], 1)
        (folder / name).write_text(text)
    return set(folder.rglob("*"))


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "-"))
def test_wrong_files_are_refused_with_their_place(case: str, tmp_path: Path) -> None:
    name, old, new, place, fragment = CASES[case]
    before = write(tmp_path, name, old, new)
    ended = run(tmp_path, "study.yaml")
    lines = ended.stderr.splitlines()
    assert ended.returncode == 2, ended.stderr
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{place}: ")
    assert fragment in lines[0]
    assert set(tmp_path.rglob("*")) == before


def test_a_missing_study_names_what_lies_there(tmp_path: Path) -> None:
    write(tmp_path)
    ended = run(tmp_path, "studdy.yaml")
    assert ended.returncode == 2
    assert "studdy.yaml: no such file; ./ has space.yaml, study.yaml" in ended.stderr


def test_a_report_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "reports").write_text("in the way")
    before = set(tmp_path.rglob("*"))
    ended = run(tmp_path, "study.yaml")
    assert ended.returncode == 2
    assert ended.stderr == ("reports/wrong: cannot be a folder, since reports is a file\n")
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_report_folder_without_permission_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "reports").mkdir(mode=0o555)
    ended = run(tmp_path, "study.yaml")
    assert ended.returncode == 2
    assert "reports/wrong: cannot be written: no permission in reports" in ended.stderr


def test_an_error_takes_under_two_seconds(tmp_path: Path) -> None:
    """Of the CPU, which other work on this machine does not add to."""
    write(tmp_path, "study.yaml", "recipe:", "recipie:")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run(tmp_path, "study.yaml").returncode == 2
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


def test_several_mistakes_are_told_together(tmp_path: Path) -> None:
    write(tmp_path, "study.yaml", "recipe: {epochs: 1}", "recipe: {epochs: x, lr: y}\nfoo: 1")
    ended = run(tmp_path, "study.yaml")
    places = [line.split(": ")[0] for line in ended.stderr.splitlines()]
    assert places == ["study.yaml:3:18", "study.yaml:3:25", "study.yaml:4:1"]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["report", "--help"], ["--version"]],
    ids=" ".join,
)
def test_help(arguments: list[str], tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "sret_search", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0
    assert "sret" in ended.stdout


def test_a_report_of_a_study_that_never_ran_says_so(tmp_path: Path) -> None:
    before = write(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "sret_search", "report", "study.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == "runs/wrong has no study yet; run it first\n"
    assert set(tmp_path.rglob("*")) == before


def test_a_cluster_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    write(tmp_path, "study.yaml", "address: local", "address: 127.0.0.1:1")
    ended = subprocess.run(
        [sys.executable, "-m", "sret_search.run", "study.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("study.yaml: no Ray cluster at 127.0.0.1:1: ")
    assert len(ended.stderr.splitlines()) == 1
