"""CPUs of a process in containers, whose control groups are made up as files."""

import os
from pathlib import Path

import pytest

from sret_search.config.study_file import Compute
from sret_search.execution.resources import Room
from sret_search.machine import hardware, processors

DOCKER = {"membership": "0::/", "cpu.max": "250000 100000"}
KUBERNETES = {
    # a container sees the host's path, and only its own groups
    "membership": "0::/kubepods.slice/pod1.slice/cri-1.scope",
    "cpu.max": "50000 100000",
}
SYSTEMD = {
    "membership": "0::/system.slice/train.service",
    "cpu.max": "max 100000",
    "system.slice/cpu.max": "400000 100000",
    "system.slice/train.service/cpu.max": "max 100000",
}
VERSION_1 = {
    "membership": "4:memory:/docker/1\n2:cpu,cpuacct:/docker/1\n1:name=systemd:/docker/1",
    "cpu/cpu.cfs_quota_us": "300000",
    "cpu/cpu.cfs_period_us": "100000",
}
WITHOUT = {
    "membership": "2:cpu:/\n0::/",
    "cpu/cpu.cfs_quota_us": "-1",
    "cpu/cpu.cfs_period_us": "100000",
    "cpu.max": "max 100000",
}
DAMAGED = {"membership": "0::/", "cpu.max": "?"}


def mounted(folder: Path, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return folder / "membership", folder


@pytest.mark.parametrize(
    ("files", "limit", "of_eight"),
    [
        (DOCKER, 2.5, 2),
        (KUBERNETES, 0.5, 1),
        (SYSTEMD, 4.0, 4),
        (VERSION_1, 3.0, 3),
        (WITHOUT, None, 8),
        (DAMAGED, None, 8),
        ({}, None, 8),
    ],
)
def test_a_quota_limits_the_cpus_that_are_counted(
    files: dict[str, str],
    limit: float | None,
    of_eight: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    membership, mount = mounted(tmp_path, files)
    assert processors.quota(membership, mount) == limit
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(processors, "quota", lambda: limit)
    assert processors.cpus() == of_eight


def test_trials_at_a_time_and_their_refusal_follow_the_quota(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(processors, "quota", lambda: 3.0)
    monkeypatch.setattr(hardware, "gpus", lambda: 0)
    assert hardware.at_a_time(Compute()) == 3
    assert hardware.at_a_time(Compute(cpus_per_trial=2)) == 1
    assert hardware.at_a_time(Compute(concurrent=2)) == 2
    assert hardware.at_a_time(Compute(concurrent=30)) == 3
    assert hardware.at_a_time(Compute(concurrent=30, address="auto")) == 30


@pytest.mark.parametrize(
    ("each", "trials"), [(0.25, 12), (0.5, 6), (0.6, 3), (1, 3), (2, 1), (3, 1), (1 / 3, 9)]
)
def test_trials_at_a_time_share_gpus_as_they_are_placed(
    each: float, trials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "cpus", lambda: 64)
    monkeypatch.setattr(hardware, "gpus", lambda: 3)
    assert hardware.at_a_time(Compute(gpus_per_trial=each)) == trials
    assert Room(64, 3).fits(3, each) == trials
