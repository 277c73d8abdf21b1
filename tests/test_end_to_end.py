"""The smoke study with real processes: run, interrupted, held, resumed. `kill/` has the kills."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import optuna
import pandas as pd
import pytest

STUDY = Path(__file__).parent.parent / "studies" / "smoke.yaml"
TRIALS = Path("runs/smoke/trials")
# What a kill may change: how long it took, and how often a trial was begun.
TIMING = ["seconds", "attempts"]

pytestmark = pytest.mark.timeout(400)


ELSEWHERE = {
    "http_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "LC_ALL": "tr_TR.UTF-8",
    "PYTHONHASHSEED": "7",
    "MPLBACKEND": "module://a_notebook",
    "CUDA_VISIBLE_DEVICES": "NoDevFiles",
}
"""An environment as machines and notebooks have it, in which nothing may come out differently."""


def start(
    folder: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sret_search.run", *(arguments or [str(STUDY)])],
        cwd=folder,
        env=os.environ | (variables or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    folder: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    process = start(folder, *arguments, variables=variables)
    out, err = process.communicate()
    return process.returncode, out, err


def wait(folder: Path, pattern: str, count: int, process: subprocess.Popen[str]) -> list[Path]:
    """Wait until so many files of a trial's attempts are there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = sorted((folder / TRIALS).glob(pattern))
        if len(found) >= count:
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError(f"no {pattern} in time")


def wait_for_lease(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a process holds the study."""
    lease = folder / "runs/smoke/lease.json"
    while True:
        with suppress(FileNotFoundError, ValueError):
            if json.loads(lease.read_text())["pid"] == process.pid:
                return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def table(folder: Path, kind: type | None = None) -> pd.DataFrame:
    return pd.read_csv(folder / "reports/smoke/trials.csv", dtype=kind)


def finished(folder: Path) -> dict[Path, float]:
    """Results that are there, and when they were written."""
    return {path: path.stat().st_mtime for path in (folder / TRIALS).glob("*/*/result.json")}


def check_same(folder: Path, golden: Path) -> None:
    """The same table to the last bit, and each trial told once."""
    texts = [table(place, str).drop(columns=TIMING) for place in (folder, golden)]
    pd.testing.assert_frame_equal(*texts)
    database = folder / "runs/smoke/study.db"
    study = optuna.load_study(study_name="smoke", storage=f"sqlite:///{database}")
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert all(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
    values = table(golden).sort_values("trial")[["val_accuracy", "params"]].to_numpy().tolist()
    assert [trial.values for trial in study.trials] == values


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped, elsewhere, and in a folder with files that no import must take
    for packages."""
    folder = tmp_path_factory.mktemp("golden")
    for module in ("json", "numpy", "optuna", "pandas", "torch", "torchvision"):
        (folder / f"{module}.py").write_text("raise ImportError('not this file')")
    code, out, err = run(folder, variables=ELSEWHERE)
    assert code == 0, err
    assert err == ""
    assert "4 of 4 trials done" in out
    return folder


def test_a_run_writes_its_report(golden: Path) -> None:
    report = golden / "reports/smoke"
    there = {path.name for path in report.iterdir()}
    for plot in ("accuracy_params", "accuracy_macs", "accuracy_executions"):
        assert {f"{plot}.{kind}" for kind in ("png", "svg", "pdf")} <= there
    assert {path for path in there if not path.endswith((".png", ".svg", ".pdf"))} == {
        "report.html", "trials.csv", "trials.parquet", "summary.json", "front.tex", "front.md",
    }  # fmt: skip
    trials = table(golden)
    assert list(trials.trial) == [0, 1, 2, 3]
    assert list(trials.state) == ["complete"] * 4
    assert (trials.val_accuracy > 0.5).all()
    assert trials.test_accuracy.isna().all()
    assert list(trials.macs) == sorted(trials.macs, reverse=True)
    best = json.loads((report / "summary.json").read_text())["best"]
    assert best["val_accuracy"] == trials.val_accuracy.max()


def test_a_second_run_trains_nothing_and_says_so(golden: Path) -> None:
    before, page = finished(golden), (golden / "reports/smoke/report.html").read_bytes()
    code, out, err = run(golden)
    assert (code, err) == (0, "")
    assert "nothing to train: all 4 trials ended" in out
    assert finished(golden) == before
    assert (golden / "reports/smoke/report.html").read_bytes() == page


def test_a_study_known_from_another_file_says_so(golden: Path, tmp_path: Path) -> None:
    shutil.copytree(golden / "runs", tmp_path / "runs")
    other = tmp_path / "smoke.yaml"
    other.write_text(STUDY.read_text().replace("../spaces", str(STUDY.parent.parent / "spaces")))
    code, out, err = run(tmp_path, str(other))
    assert (code, err) == (0, "")
    assert f"runs/smoke was last run from {STUDY}, now from {other}" in out


def test_an_interrupted_run_reports_and_resumes(golden: Path, tmp_path: Path) -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):
        begun = len(list((tmp_path / TRIALS).glob("*/*")))
        process = start(tmp_path)
        if begun == 0:
            # Before anything trains, or there might be nothing left to stop once this has ended.
            wait_for_lease(tmp_path, process)
            second, _, held = run(tmp_path)
            assert second == 3
            assert f"runs/smoke is held by process {process.pid} on " in held
        wait(tmp_path, "*/*", begun + 1, process)
        done = finished(tmp_path)
        process.send_signal(stop)
        out, err = process.communicate()
        assert process.returncode == 3, err
        assert "Traceback" not in err
        assert err.splitlines()[-1].endswith(f"resume with: python -m sret_search.run {STUDY}")
        assert "report: reports/smoke/report.html" in out
        assert (table(tmp_path).state == "complete").sum() >= len(done)
    code, _, err = run(tmp_path)
    assert code == 0, err
    check_same(tmp_path, golden)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stopped_before_it_trains_can_be_resumed(
    stop: signal.Signals, tmp_path: Path
) -> None:
    process = start(tmp_path)
    wait_for_lease(tmp_path, process)
    process.send_signal(stop)
    _, err = process.communicate()
    assert process.returncode == 3, err
    assert err.splitlines()[-1].endswith(f"resume with: python -m sret_search.run {STUDY}")
