"""What a worker does, without Ray."""

import json
import mmap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from ray import tune

from sret_search.architecture import Architecture, Stage
from sret_search.artifacts.object_store import StoreError
from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.execution import messages, worker
from sret_search.execution.messages import AttemptOrder
from sret_search.execution.worker import Recycled, attempt_trial
from sret_search.job import Data, Job, Recipe
from sret_search.training import compiled, data, train
from sret_search.training.data import DataError
from sret_search.training.results import Notice

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=8, heads=2, unique=1, loops=1),),
)  # fmt: skip
JOB = Job(TINY, Recipe(epochs=1, batch_size=120, lr=1e-2), Data(test=0.7), seed=3)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is reported to Tune, by a process that is new."""
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", reports.append)
    monkeypatch.setattr(worker, "_worn", worker._Wear())
    return reports


def config(root: Path, **changes: Any) -> dict[str, Any]:
    folders = TrialFolders(str(root))
    order = AttemptOrder(
        job=json.dumps(JOB.to_dict()), root=folders.root, attempt=folders.new_attempt(0),
        earlier=[], checkpoint_every=600.0, step_timeout=600.0, gpus=0.0, tensorboard=False,
        until=None, contents=None, avoided=[],
    )  # fmt: skip
    return replace(order, **changes).to_dict()


def failing(error: Exception) -> Callable[..., None]:
    def fail(*arguments: Any) -> None:
        raise error

    return fail


def test_a_trial_is_trained_and_told(tmp_path: Path, told: list[dict[str, Any]]) -> None:
    made = config(tmp_path, tensorboard=True)
    attempt_trial(made)
    epoch, ended = told
    assert (epoch["epoch"], ended) == (1, {"ended": True})
    attempt = Path(made["attempt"])
    assert json.loads((attempt / "result.json").read_text())["state"] == "complete"
    assert {"pid", "host"} <= json.loads((attempt / "worker.json").read_text()).keys()
    assert list((attempt / "tensorboard").iterdir())


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # read by the compiler
def test_a_notice_of_a_training_is_told(
    tmp_path: Path, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no such kernel")

    monkeypatch.setitem(compiled.COMPILERS, "cpu", broken)
    job = replace(JOB, recipe=replace(JOB.recipe, compile=True))
    attempt_trial(config(tmp_path, job=json.dumps(job.to_dict()), tensorboard=True))
    torch._dynamo.reset()
    notice, epoch, ended = told
    assert notice["notice"].endswith("RuntimeError: no such kernel")
    assert messages.from_dict(notice) == Notice(notice["notice"])
    assert (epoch["epoch"], ended) == (1, {"ended": True})


def test_a_worker_that_is_asked_to_stop_leaves_no_result(
    tmp_path: Path, told: list[dict[str, Any]]
) -> None:
    made = config(tmp_path)
    TrialFolders(str(tmp_path)).ask_to_stop()
    attempt_trial(made)
    assert told == [{"ended": True}]
    assert not (Path(made["attempt"]) / "result.json").exists()


def test_a_disk_that_is_not_the_drivers_is_told(tmp_path: Path, told: list[dict[str, Any]]) -> None:
    made = config(tmp_path)
    Path(made["attempt"]).rmdir()
    attempt_trial(made)
    (only,) = told
    assert made["attempt"] in only["unseen"]
    assert not Path(made["attempt"]).exists()


@pytest.mark.parametrize(
    ("error", "cause", "recycled"),
    [
        (KeyError("x"), "error", False),
        (MemoryError(), "out of memory", True),
        (OSError(28, "No space left on device"), "disk full", False),
        (OSError(116, "Stale file handle"), "machine", True),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "machine", True),
        (StoreError("s3://b does not answer"), "machine", True),
    ],
)
def test_a_failure_is_written_and_told(
    error: Exception,
    cause: str,
    recycled: bool,
    tmp_path: Path,
    told: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "train", failing(error))
    made = config(tmp_path)
    if recycled:
        with pytest.raises(Recycled):
            attempt_trial(made)
    else:
        attempt_trial(made)
    assert [report.get("failed") for report in told] == [cause, None]
    written = json.loads((Path(made["attempt"]) / "error.json").read_text())
    assert (written["cause"], written["job"]) == (cause, JOB.identity)
    assert type(error).__name__ in (Path(made["attempt"]) / "traceback.txt").read_text()


@pytest.mark.parametrize("kind", [DataError, OSError, ValueError])
def test_a_failure_is_told_whatever_the_names_in_it(
    kind: type[Exception],
    tmp_path: Path,
    told: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "train", failing(kind("cannot read photo\udce9.jpg \ud800")))
    made = config(tmp_path)
    attempt_trial(made)
    assert [report.get("failed") is None for report in told] == [False, True]
    attempt = Path(made["attempt"])
    written = json.loads((attempt / "error.json").read_text())
    for reason in (told[0]["reason"], written["reason"]):
        assert r"cannot read photo\xe9.jpg \ud800" in reason
    trace = (attempt / "traceback.txt").read_text(encoding="utf-8")
    assert r"photo\xe9.jpg" in trace


def test_a_trace_is_written_in_utf8_whatever_the_locale(
    tmp_path: Path, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "train", failing(ValueError("größer")))
    made, write = config(tmp_path), Path.write_text

    def in_ascii(path: Path, text: str, encoding: str = "ascii", **others: Any) -> int:
        return write(path, text, encoding=encoding, **others)

    monkeypatch.setattr(Path, "write_text", in_ascii)
    attempt_trial(made)
    assert told[0]["failed"] == "error"
    assert "größer" in (Path(made["attempt"]) / "traceback.txt").read_text(encoding="utf-8")


def test_a_process_is_replaced_when_it_is_worn(
    tmp_path: Path, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [10**9]
    monkeypatch.setattr(train, "train", lambda *arguments: {})
    monkeypatch.setattr(worker, "resident_bytes", lambda: held[0])
    monkeypatch.setattr(worker, "_ATTEMPTS", 3)
    attempt_trial(config(tmp_path))
    attempt_trial(config(tmp_path))
    with pytest.raises(Recycled):
        attempt_trial(config(tmp_path))
    monkeypatch.setattr(worker, "_worn", worker._Wear())
    attempt_trial(config(tmp_path))
    held[0] += 3 * 2**30
    with pytest.raises(Recycled):
        attempt_trial(config(tmp_path))


def test_memory_is_what_the_process_holds() -> None:
    before, size = worker.resident_bytes(), 50 * 2**20
    with mmap.mmap(-1, size) as block:
        for page in range(0, size, mmap.PAGESIZE):
            block[page] = 1
        assert worker.resident_bytes() - before > 0.9 * size


def test_data_that_changed_since_the_run_began_are_told_and_not_trained_on(
    tmp_path: Path, told: list[dict[str, Any]]
) -> None:
    for number in range(12):
        folder = tmp_path / "photos" / ("ant", "bee")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    given = Data(imagefolder=str(tmp_path / "photos"), image_size=8)
    contents = data.load(given).contents
    assert contents is not None
    (folder / "11.png").rename(folder / "111.png")
    data.load.cache_clear()
    job = replace(JOB, architecture=replace(TINY, in_channels=3, classes=2), data=given)
    made = config(tmp_path, job=json.dumps(job.to_dict()), contents=contents)
    attempt_trial(made)
    assert told[0]["failed"] == "data"
    assert "photos has changed since the study began: bee/ has other images" in told[0]["reason"]
    assert not (Path(made["attempt"]) / "result.json").exists()
