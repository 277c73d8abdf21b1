"""A disk that is full: nothing is left half written, and the reader is told where and how much."""

import errno
import json
import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

from sret_search.architecture.variants import VARIANTS
from sret_search.job import Data, Job, Recipe
from sret_search.training import checkpoints, train
from sret_search.training.results import EpochMetrics
from sret_search.training.watchdog import cause
from sret_search.writing import write_json, write_whole

torch.set_num_threads(1)

JOB = Job(VARIANTS["sret_digits"], Recipe(epochs=1), Data(val=0.1, test=0.7), seed=1)


def full(number=errno.ENOSPC):
    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_what_could_not_be_forced_to_a_full_disk_is_gone(tmp_path, monkeypatch, number):
    write_json(tmp_path / "result.json", {"whole": True})
    monkeypatch.setattr(os, "fsync", full(number))
    with pytest.raises(OSError, match=r"result\.json") as caught:
        write_json(tmp_path / "result.json", {"whole": False})
    assert caught.value.errno == number
    assert os.listdir(tmp_path) == ["result.json"]
    assert json.loads((tmp_path / "result.json").read_text()) == {"whole": True}

    there = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: there._replace(free=1_234_000))
    assert cause(caught.value, JOB) == (
        "disk full",
        f"disk full: {os.strerror(number)} in {tmp_path}, which has 1.23 MB free;"
        " a checkpoint takes 552 kB",
    )


def test_an_error_of_the_writer_is_told_as_it_is_and_leaves_nothing(tmp_path):
    def torn(file):
        file.write(b"half")
        raise KeyError("content")

    with pytest.raises(KeyError, match="content"):
        write_whole(tmp_path / "file", torn)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_seen_behind_what_torch_makes_of_it(tmp_path, monkeypatch):
    def silent(file):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    with pytest.raises(RuntimeError, match="PytorchStreamWriter"):
        write_whole(tmp_path / "file", silent)
    there = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: there._replace(free=0))
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(tmp_path / "file", silent)
    assert cause(caught.value, JOB)[0] == "disk full"


def test_other_errors_of_the_system_are_no_full_disk():
    assert cause(PermissionError(errno.EACCES, "Permission denied", "/there"), JOB)[0] == "error"
    assert cause(OSError(errno.ENOSPC, "No space left on device"), JOB) == (
        "disk full",
        "disk full: No space left on device; a checkpoint takes 552 kB",
    )


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("file systems may not be mounted here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_checkpoint_that_does_not_fit_leaves_nothing_and_the_next_one_is_written(small_disk):
    attempt = small_disk / "00000" / "attempt-1"
    state = {"step": 1, "can_go_on": False, "model": torch.zeros(200_000)}
    checkpoints.save_checkpoint(attempt, state)
    for size in (10_000_000, 600_000):
        model = [*(torch.zeros(10) for _ in range(20)), torch.zeros(size)]
        large = {"step": 2, "can_go_on": False, "model": model}
        with pytest.raises(OSError, match=r"checkpoint-00000002\.pt") as caught:
            checkpoints.save_checkpoint(attempt, large)
        assert caught.value.errno == errno.ENOSPC
        kind, reason = cause(caught.value, JOB)
        assert kind == "disk full"
        assert f"in {attempt}, which has 2.3" in reason and "\n" not in reason
        assert os.listdir(attempt) == ["checkpoint-00000001.pt"]
    checkpoints.save_checkpoint(attempt, state | {"step": 2})
    assert len(os.listdir(attempt)) == 2


def test_a_training_whose_disk_is_full_goes_on_where_it_was(small_disk):
    shallow, brief = JOB.architecture.at_loops(1), Recipe(steps=2, batch_size=8)
    job = replace(JOB, architecture=shallow, recipe=brief)
    filler = small_disk / "filler"
    attempt = small_disk / "00000" / "attempt-1"

    def fill(metrics):
        if isinstance(metrics, EpochMetrics):
            with suppress(OSError), filler.open("wb", 0) as file:
                while True:
                    file.write(bytes(4096))

    with pytest.raises(OSError, match="No space left") as caught:
        train.train(job, attempt, fill)
    assert cause(caught.value, JOB)[0] == "disk full"
    assert [file.suffix for file in attempt.iterdir()] == [".pt"]
    filler.unlink()
    result = train.train(
        job, small_disk / "00000" / "attempt-2", lambda metrics: None, [attempt]
    ).to_dict()
    assert result["state"] == "complete"
