"""The kill matrix: each victim, at its durable writes, under each sampler, against a run that
nothing disturbed; and moments at random."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import moments
import postgres_server
import pytest
from kills import RANKED, SCHEDULED, STUDIES, Box, Fault, Golden, Told

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_REFUSED = 20.0
"""Seconds in which a second driver has to end, nearly all of them imports."""
_ROOM = "64m"
RANDOMLY = ["grid_eager", "random_eager", "tpe_strict", "nsga2_strict", "tuned", "confirmed",
            SCHEDULED]  # fmt: skip
"""Of samplers, and of studies with learning rates, twins and confirmation, and at rungs."""
_NAMES = {"driver": "driver", "ray::": "workers", "raylet": "raylet"}


def finished(
    victim: str, study: str, chosen: Mapping[str, Fault], golden: Golden, told: Told, folder: Path
) -> Box:
    """A study that was run through faults to its end, which came out as if there had been none."""
    undisturbed = golden(study)
    box = Box(folder, study, list(chosen.values()))
    box.finish()
    row = told(victim, list(chosen), box)
    row["lost_seconds"] = box.check_lost()
    box.check_same(undisturbed)
    return box


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("victim", [name for name in moments.VICTIMS if name != "disk full"])
def test_a_fault(victim: str, study: str, golden: Golden, told: Told, tmp_path: Path) -> None:
    chosen = moments.share(victim, study)
    box = finished(victim, study, chosen, golden, told, tmp_path)
    if victim == "second driver":
        assert len(box.refused) == len(chosen) and max(box.refused) < _REFUSED
        assert set(box.attempts().values()) == {1}, "the first is unharmed"
    if victim == "worker":
        begun_again = sum(box.attempts().values()) - len(box.attempts())
        assert begun_again <= len(chosen)


def test_a_fault_at_a_rung(golden: Golden, told: Told, tmp_path: Path) -> None:
    finished("at rungs", SCHEDULED, moments.RUNGS, golden, told, tmp_path)


@pytest.mark.parametrize("study", ["grid_eager", "tpe_strict"])
def test_an_error_of_the_machine(study: str, golden: Golden, told: Told, tmp_path: Path) -> None:
    box = finished("hardware", study, moments.HARDWARE, golden, told, tmp_path)
    assert len(box.runs) == 1, "no trial failed for good, nor was the run stopped"


def test_a_killed_rank(golden: Golden, told: Told, tmp_path: Path) -> None:
    undisturbed = golden(RANKED)
    box = Box(tmp_path, RANKED, list(moments.RANKS.values()))
    box.finish()
    told("ranks", list(moments.RANKS), box)
    assert len(box.runs) == 1
    continued = [event["step"] for event in box.events() if event["what"] == "continued"]
    assert max(continued, default=0) > 0, "a trial goes on from its checkpoint"
    box.check_same(undisturbed)


@pytest.mark.parametrize("study", ["grid_eager", "random_strict"])
def test_a_storm_of_signals(study: str, golden: Golden, told: Told, tmp_path: Path) -> None:
    box = finished("storm", study, moments.STORMS, golden, told, tmp_path)
    assert [run.code for run in box.runs] == [3, 3, 0]
    for run in box.runs:
        assert "report: " in run.out
        assert all("resume with" in line for line in run.err.splitlines()), run.err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("study", STUDIES)
def test_a_full_disk(
    study: str, golden: Golden, told: Told, small_disk: Path, tmp_path: Path
) -> None:
    undisturbed = golden(study)
    chosen = moments.share("disk full", study)
    box = Box(tmp_path, study, list(chosen.values()), small_disk)
    box.finish()
    row = told("disk full", list(chosen), box)
    assert len(box.runs) == 1
    assert len(box.pauses) == len(chosen) and all(box.pauses)
    row["lost_seconds"] = box.check_lost()
    box.check_same(undisturbed)


@pytest.mark.skipif(bool(postgres_server.MISSING), reason=postgres_server.MISSING)
@pytest.mark.parametrize("study", ["grid_eager", "tpe_strict"])
def test_a_database_that_goes_away(study: str, golden: Golden, told: Told, tmp_path: Path) -> None:
    undisturbed = golden(study)
    with postgres_server.running() as server:
        box = Box(tmp_path, study, list(moments.AWAY.values()), server=server)
        box.finish()
        row = told("server away", list(moments.AWAY), box)
        assert len(box.runs) == 1
        assert len(box.pauses) == len(moments.AWAY) and all(box.pauses)
        row["lost_seconds"] = box.check_lost()
        box.check_same(undisturbed)


@pytest.mark.parametrize("study", RANDOMLY)
def test_random_moments(study: str, golden: Golden, told: Told, tmp_path: Path) -> None:
    undisturbed, rng = golden(study), random.Random(study)
    moments_left, boxes = 5, 0
    while moments_left:
        boxes += 1
        box, killed = Box(tmp_path / str(boxes), study), []
        while moments_left and not (box.runs and box.runs[-1].code == 0):
            hit = _kill_at_random(box, rng, undisturbed.seconds)
            killed += hit
            moments_left -= len(hit)
        box.finish()
        row = told("at random", killed, box)
        row["lost_seconds"] = box.check_lost()
        box.check_same(undisturbed)


def _kill_at_random(box: Box, rng: random.Random, longest: float) -> list[str]:
    """Kill one of the processes of a run; which, and when, if the run had not ended before."""
    process = box.start()
    moment, victim = rng.uniform(0.3, longest), rng.choice(["driver", "driver", "ray::", "raylet"])
    time.sleep(moment)
    ended = process.poll() is not None
    pids = [pid for pid, name in box.processes().items() if name.startswith(victim)]
    for pid in pids or ([] if ended else [process.pid]):
        os.kill(pid, signal.SIGKILL)
    run = box.end(process)
    assert run.code in (0, 3, -signal.SIGKILL), run
    assert "Traceback" not in run.err, run.err
    return [] if ended else [f"{_NAMES[victim if pids else 'driver']} after {moment:.1f} s"]
