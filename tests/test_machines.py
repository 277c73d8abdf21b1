"""The command on machines that are not as their environment says."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sret_search import run as command
from sret_search.execution import local_ray, nodes
from sret_search.machine.hardware import gpus

SPACE = "architecture: sret_digits\naxes: {stages.*.loops: {choices: [1]}}\n"
STUDY = "study: s\nspace: space.yaml\nsearch: {sampler: grid}\nrecipe: {epochs: 1}\n"

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize(
    ("visible", "number"),
    [
        ("", 0), ("0", 1), ("3, 5", 2), ("-1", 0), ("0,-1,1", 1), ("NoDevFiles", 0), ("none", 0),
        ("GPU-8a56, GPU-11b2", 2), ("MIG-GPU-8a56/1/0", 1), ("0,,1", 1),
    ],
)  # fmt: skip
def test_gpus_are_counted_as_cuda_counts_them(
    visible: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus() == number


def run(folder: Path, visible: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sret_search.run", "study.yaml"],
        cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": visible},
    )  # fmt: skip


@pytest.mark.skipif(nodes.look_for_cuda() == "", reason="about machines without CUDA")
def test_gpus_that_are_not_there_cost_no_trial(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "study.yaml").write_text(STUDY)
    refused = run(tmp_path, "0")
    assert refused.returncode == 2, refused.stderr
    (line,) = refused.stderr.splitlines()
    assert line.startswith("study.yaml: ")
    assert "CUDA_VISIBLE_DEVICES=0" in line
    # As Slurm has it where it gives no GPU.
    done = run(tmp_path, "NoDevFiles")
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "study.yaml").write_text(STUDY + "compute: {gpus_per_trial: 1}\n")
    asked = run(tmp_path, "NoDevFiles")
    assert asked.returncode == 2
    assert "this machine has 0" in asked.stderr


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [(local_ray.CannotStartError("no"), 2, 1), (local_ray.NotStartedError("not yet"), 3, 2)],
)
def test_a_ray_that_does_not_start(
    error: Exception,
    code: int,
    lines: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text(STUDY)

    def fail(*arguments: object) -> int:
        raise error

    monkeypatch.setattr(command, "_run", fail)
    assert command._main(SimpleNamespace(study=Path("study.yaml"), fresh=False, retry_failed=False)) == code  # fmt: skip
    assert len(capsys.readouterr().err.splitlines()) == lines
