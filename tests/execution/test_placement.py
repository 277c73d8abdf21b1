"""Where Ray places trials on a machine whose GPUs are only declared: the resources, the driver and
Ray are real, only the work of a trial is not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import placements
import pytest
import torch
from ray._private import thirdparty

from sret_search.execution import nodes, resources

ROOT = Path(__file__).parents[2]
GB = 10**9
CASES: dict[str, dict[str, Any]] = {
    "more than a half": {"compute": {"gpus_per_trial": 0.6}, "together": 2},
    "two": {"compute": {"gpus_per_trial": 2}, "together": 1},
    "auto, large": {"compute": {}, "memory": {"2": 80 * GB}, "together": 4},
    "auto, small": {"compute": {}, "memory": {"2": GB}, "together": 2},
    "three": {"compute": {"gpus_per_trial": 3}},
    "too small": {"compute": {"gpus_per_trial": 0.25}, "memory": {"2": 2 * GB}},
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What became of the studies of all cases, on five processors and the GPUs 4 and 7."""
    folder = tmp_path_factory.mktemp("placed")
    done = subprocess.run(
        [sys.executable, placements.__file__, folder, "5", json.dumps(list(CASES.values()))],
        env=os.environ
        | {
            "CUDA_VISIBLE_DEVICES": "4,7",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads((folder / "outcomes.json").read_text()), strict=True))


@pytest.mark.parametrize(
    ("case", "gpus", "visible"),
    [
        ("more than a half", 0.6, [["4"], ["7"]]),
        ("two", 2, [["4", "7"]]),
        ("auto, large", 0.5, [["4"], ["7"]]),  # five processors have no use for quarters
        ("auto, small", 1, [["4"], ["7"]]),  # no more than one trial has CUDA's 0.6 GB twice
    ],
)
def test_trials_share_the_gpus_of_a_machine(
    case: str, gpus: float, visible: list[list[str]], outcomes: dict[str, dict[str, Any]]
) -> None:
    assert outcomes[case]["complete"]
    found = outcomes[case]["placed"]
    together = CASES[case]["together"]
    assert len(found) == together + 1
    assert {trial["gpus"] for trial in found} == {gpus}
    assert {trial["device"] for trial in found} == {"cuda"}
    # All slots were taken, and never one more.
    assert max(trial["together"] for trial in found) == together
    # Those that ran together had all GPUs, each with as many trials as the others.
    at_once = [trial["visible"] for trial in found if trial["together"] == together][:together]
    assert sorted(at_once) == sorted(visible * (together // len(visible)))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("three", "study.yaml:6:29: 3 GPUs for a trial, but this machine has 2"),
        (
            "too small",
            "study.yaml: compute.gpus_per_trial: 0.25 of a GPU of 1.86 GiB is 0.47 GiB, but CUDA"
            " itself takes 0.59 GiB in each process: give each trial more than 0.31",
        ),
    ],
)
def test_what_does_not_fit_does_not_start(
    case: str, message: str, outcomes: dict[str, dict[str, Any]]
) -> None:
    assert outcomes[case] == {"refused": message, "placed": 0}


class Nvml:
    """NVIDIA's library on a machine with made-up GPUs.

    Args:
        gpus: bytes of each GPU, in the order on the bus; a list of bytes if it is cut.
        names: bytes by the unique name of a GPU or instance.
    """

    class NVMLError(Exception):
        """An error of the library."""

    def __init__(self, gpus: list[int | list[int]], names: dict[str, int]) -> None:
        self.gpus, self.names = gpus, names

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.gpus:
            raise self.NVMLError("driver not loaded")

    def nvmlShutdown(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, name: bytes) -> Any:  # noqa: N802
        if name.decode() not in self.names:
            raise self.NVMLError("not found")
        return self.names[name.decode()]

    def nvmlDeviceGetMemoryInfo(self, gpu: Any) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=sum(gpu) if isinstance(gpu, list) else gpu)

    def nvmlDeviceGetMigMode(self, gpu: Any) -> list[int]:  # noqa: N802
        if gpu == 8 * GB:
            raise self.NVMLError("not supported")
        return [int(isinstance(gpu, list))] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: Any) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: Any, index: int) -> Any:  # noqa: N802
        if index >= len(gpu):
            raise self.NVMLError("not found")
        return gpu[index]


@pytest.mark.parametrize(
    ("gpus", "visible", "order", "memory"),
    [
        ([], None, None, 0),
        ([80 * GB, 8 * GB], None, None, 8 * GB),
        # Number 0 of CUDA is the fastest, wherever it lies on the bus.
        ([80 * GB, 8 * GB], "0", None, 8 * GB),
        ([80 * GB, 8 * GB], "0", "PCI_BUS_ID", 80 * GB),
        ([80 * GB, 8 * GB], "0,1", "PCI_BUS_ID", 8 * GB),
        ([80 * GB, 8 * GB], "GPU-large", None, 80 * GB),
        ([80 * GB, 8 * GB], "GPU-lar", None, 0),
        ([80 * GB, 8 * GB], "", None, 0),
        ([80 * GB, [20 * GB, 10 * GB]], None, None, 10 * GB),
        ([80 * GB, [20 * GB, 10 * GB]], "MIG-twenty", None, 20 * GB),
        ([80 * GB, []], None, None, 0),
    ],
)
def test_the_memory_of_the_gpus_that_trials_may_use(
    gpus: list[int | list[int]],
    visible: str | None,
    order: str | None,
    memory: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    names = {"GPU-large": 80 * GB, "MIG-twenty": 20 * GB}
    monkeypatch.setattr(thirdparty, "pynvml", Nvml(gpus, names), raising=False)
    assert resources.gpu_memory() == memory


@pytest.mark.parametrize(("seen", "declared"), [(0, 1), (2, 4)])
def test_gpus_that_torch_does_not_see_are_told(
    seen: int, declared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,8,9")
    shown = {0: "declares GPUs", 2: "declares 4 GPUs"}[seen]
    assert nodes.look_for_cuda(declared) == (
        f"{shown}, but torch {torch.__version__} sees {seen or 'none'}"
        " (CUDA_VISIBLE_DEVICES=0,1,8,9 is set there)"
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: declared)
    assert nodes.look_for_cuda(declared) == ""
