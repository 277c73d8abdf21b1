"""What ends a training before its time, and what is seen of its depth."""

import errno
import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import load_file

from sret_search.architecture import NLL, Architecture, Relax, Residual, Stage
from sret_search.artifacts.names import DEPTH, HANG, WEIGHTS
from sret_search.cost import train_memory
from sret_search.job import Data, Job, Recipe
from sret_search.model import SReT, gradient_shares
from sret_search.training import train
from sret_search.training.data import DataError
from sret_search.training.pretrained import PretrainedError
from sret_search.training.results import DepthMetrics, EpochMetrics
from sret_search.training.watchdog import Diverged, cause, watched

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(
        Stage(8, 2, unique=2, loops=2, groups=(4, 2), mlp_ratio=2.0),
        Stage(16, 2, loops=3, mlp_ratio=2.0),
    ),
    nll=NLL("block"), residual=Residual("lrc"), permutation="official", drop_path=0.2,
)  # fmt: skip
JOB = Job(TINY, Recipe(epochs=2, batch_size=120, lr=1e-2), Data(test=0.7), seed=3)


# Why a trial failed.


@pytest.mark.parametrize("kind", [DataError, PretrainedError])
def test_what_is_wrong_with_files_is_told_in_its_own_words(kind):
    assert cause(kind("no folder of images at /there"), JOB) == (
        "data",
        "no folder of images at /there",
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"),
    ],
    ids=["python", "cuda", "cpu"],
)
def test_too_little_memory_is_told_with_what_would_fit(error):
    job = replace(JOB, recipe=replace(JOB.recipe, accumulate=2), processes=3)
    kind, reason = cause(error, job)
    assert kind == "out of memory"
    whole, least = train_memory(TINY, 20).total, train_memory(TINY, 20, budget=0).total
    half = train_memory(TINY, 10, budget=0).total
    assert reason == (
        f"out of memory; a step on 20 images is estimated at {whole / 1e9:.2f} GB,"
        f" {least / 1e9:.2f} GB if all activations are recomputed,"
        f" {half / 1e9:.2f} GB on 10 images (recipe.accumulate: 4);"
        " recipe.precision: bf16 halves the activations"
    )


def test_what_is_done_already_is_not_advised():
    recipe = replace(JOB.recipe, batch_size=1, precision="bf16")
    _, reason = cause(MemoryError(), replace(JOB, recipe=recipe))
    assert "a step on 1 images" in reason
    assert "accumulate" not in reason
    assert "bf16" not in reason


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("shapes differ\nand more"), "RuntimeError: shapes differ"),
        (KeyError("name"), "KeyError: 'name'"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (Diverged(7, 2, float("nan")), "Diverged: the loss became nan at step 7 (epoch 2)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_errors_are_told_by_their_first_line(error, line):
    assert cause(error, JOB) == ("error", line)


_IO = OSError(errno.EIO, "Input/output error", "/data/a.jpg")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("CUDA error: uncorrectable ECC error encountered\nmore"), "ECC error"),
        (RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable"), "busy"),
        (RuntimeError("No CUDA GPUs are available"), "No CUDA GPUs"),
        (AssertionError("Torch not compiled with CUDA enabled"), "not compiled"),
        (RuntimeError("Found no NVIDIA driver on your system."), "no NVIDIA driver"),
        (dist.DistBackendError("NCCL error: unhandled system error"), "NCCL"),
        (RuntimeError("[gloo/pair.cc:1] Connection reset by peer"), "reset by peer"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
        (_IO, "Input/output error (/data/a.jpg)"),
        (TimeoutError("timed out"), "timed out"),
        (ConnectionResetError(), "ConnectionResetError"),
        *(
            (OSError(getattr(errno, name), "said"), os.strerror(getattr(errno, name)))
            for name in ("ESTALE", "ETIMEDOUT", "EMFILE", "ENFILE", "EAGAIN", "ENOTCONN", "EROFS")
        ),
    ],
    ids=str,
)
def test_what_the_machine_did_is_not_the_trials_fault(error, line):
    kind, reason = cause(error, JOB)
    assert kind == "machine"
    assert line in reason
    assert platform.node() in reason
    assert "\n" not in reason


def test_data_that_a_disk_does_not_give_are_the_machines_fault():
    error = DataError("cannot read /data/a.jpg")
    error.__cause__ = _IO
    assert cause(error, JOB)[0] == "machine"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        FileNotFoundError(2, "No such file or directory"),
        PermissionError(13, "Permission denied"),
        AssertionError("shapes"),
    ],
    ids=str,
)
def test_what_is_so_on_every_machine_is_an_error(error):
    assert cause(error, JOB)[0] == "error"


def test_memory_that_another_process_holds_is_memory():
    assert cause(RuntimeError("CUDA error: out of memory"), JOB)[0] == "out of memory"


# Processes that stand still.


_STUCK = """
import sys, time
from pathlib import Path
from sret_search.training.watchdog import watched

def stuck_in_here():
    time.sleep(60)

limit = 2.5
with watched(Path(sys.argv[1]), limit) as beat:
    begun = time.monotonic()
    while time.monotonic() - begun < 1.1 * limit:
        beat()
        time.sleep(0.05)
    print("beaten for longer than the limit", flush=True)
    stuck_in_here()
print("never reached", flush=True)
"""


def test_a_process_that_stands_still_is_ended_and_leaves_its_stacks(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", _STUCK, str(tmp_path)], capture_output=True, text=True, timeout=100
    )
    assert ended.stdout == "beaten for longer than the limit\n"
    assert ended.returncode == 1
    stacks = (tmp_path / HANG).read_text()
    assert stacks.startswith("Timeout")
    assert re.search(r'File "<string>", line \d+ in stuck_in_here', stacks)


def test_a_process_that_ends_leaves_nothing(tmp_path):
    with watched(tmp_path, 100) as beat:
        assert (tmp_path / HANG).exists()
        beat()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), watched(tmp_path, 100):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_each_step_and_rerun_is_a_beat(tmp_path, monkeypatch):
    armed = []
    monkeypatch.setattr(
        "faulthandler.dump_traceback_later", lambda seconds, **options: armed.append(seconds)
    )
    now = iter(range(10**6))
    monkeypatch.setattr("time.monotonic", lambda: 2.0 * next(now))
    calm = replace(TINY, permutation="stride")
    job = replace(JOB, architecture=calm, reruns=(calm.at_loops(1), calm.at_loops(2)))
    result = train.train(job, tmp_path, lambda metrics: None, step_timeout=77.0).to_dict()
    assert result["steps"] == 6
    assert armed == [77.0] * (1 + 6 + 2)
    assert not (tmp_path / HANG).exists()


# What each execution does.


def test_a_monitored_training_records_each_execution_after_each_epoch(tmp_path):
    reported = []
    calm = replace(TINY, permutation="stride")
    train.train(replace(JOB, architecture=calm, monitor=True), tmp_path, reported.append)
    epochs = json.loads((tmp_path / DEPTH).read_text())
    told = [m.epoch for m in reported if isinstance(m, EpochMetrics)]
    assert [epoch["epoch"] for epoch in epochs] == told == [1, 2]
    assert TINY.executions == 7
    for epoch in epochs:
        assert len(epoch["updates"]) == len(epoch["gradient_shares"]) == 7
        assert sum(epoch["gradient_shares"]) == pytest.approx(1)
        assert min(*epoch["updates"], *epoch["gradient_shares"]) > 0
        assert [i for i, angle in enumerate(epoch["angles"]) if angle is None] == [0, 4]
        assert [i for i, distance in enumerate(epoch["distances"]) if distance == 0] == [3, 6]
        assert len(epoch["angles"]) == len(epoch["distances"]) == 7
        assert epoch["read_after"] == [5, 6, 7]
    assert epochs[0]["gradient_shares"] != epochs[1]["gradient_shares"]
    history = [m.val_accuracy for m in reported if isinstance(m, EpochMetrics)]
    assert [epoch["accuracies"][-1] for epoch in epochs] == pytest.approx(history)


def test_a_record_of_an_earlier_program_still_opens():
    plain = {"epoch": 3, "updates": [0.5, 0.25], "gradient_shares": [0.6, 0.4]}
    record = DepthMetrics.from_dict(plain)
    assert (record.angles, record.distances, record.read_after, record.accuracies) == ([],) * 4
    assert record.to_dict() == plain


@pytest.mark.parametrize("ema", [None, 0.9])
def test_watching_changes_no_bit_of_a_training(tmp_path, ema):
    job = replace(JOB, recipe=replace(JOB.recipe, ema=ema))
    ends = {}
    for monitor in (False, True):
        folder = tmp_path / str(monitor)
        result = train.train(replace(job, monitor=monitor), folder, lambda metrics: None).to_dict()
        history = [{k: v for k, v in m.items() if k != "seconds"} for m in result["history"]]
        ends[monitor] = history, result["test_loss"], load_file(folder / WEIGHTS)
        assert (folder / DEPTH).exists() == monitor
    assert ends[True][:2] == ends[False][:2]
    one, other = ends[True][2], ends[False][2]
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_test_curve_is_kept_told_to_nobody_and_changes_no_bit(tmp_path):
    reported, plain = [], train.train(JOB, tmp_path / "plain", lambda metrics: None).to_dict()
    curved = train.train(
        replace(JOB, test_curve=True), tmp_path / "curved", reported.append
    ).to_dict()
    metrics = [each.to_dict() for each in reported if isinstance(each, EpochMetrics)]
    assert not any("test" in name for epoch in metrics for name in epoch)
    tested = [(epoch.pop("test_loss"), epoch.pop("test_accuracy")) for epoch in curved["history"]]
    assert len(set(tested)) == 2
    assert tested[-1] == (curved["test_loss"], curved["test_accuracy"])
    for epoch in (*plain["history"], *curved["history"]):
        del epoch["seconds"]
    assert curved["history"] == plain["history"]
    assert curved["test_loss"] == plain["test_loss"]


def test_a_job_without_a_test_curve_is_named_as_before_there_was_one():
    assert "test_curve" not in JOB.to_dict()
    curved = replace(JOB, test_curve=True)
    assert curved.identity != JOB.identity
    for job in (JOB, curved):
        assert Job.from_dict(job.to_dict()) == job


UNROLLED = {
    "sequence": [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)],
    "cycle": [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)],
}
"""Block and loop of each execution."""


@pytest.mark.parametrize("order", ["sequence", "cycle"])
@pytest.mark.parametrize("kind", ["lrc", "layerscale", "scaled"])
def test_gradient_shares_are_those_of_blocks_that_share_nothing(order, kind):
    tied = Architecture(
        image_size=8, in_channels=1, classes=5, stem_strides=(1, 2),
        stages=(Stage(8, 2, unique=2, loops=3, mlp_ratio=2.0),),
        order=order, nll=NLL("block"), residual=Residual(kind, p=0, q=0, lam=0.5),
    )  # fmt: skip
    torch.manual_seed(4)
    model = SReT(tied).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "add" not in name:  # weights are meant as they are, not times a residual's
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif name.endswith(".gain_D"):
                parameter.fill_(1.0)
    untied = SReT(replace(tied, stages=(Stage(8, 2, unique=6, loops=1, mlp_ratio=2.0),))).eval()
    runs = UNROLLED[order]
    weights = {}
    for name, value in untied.state_dict().items():
        found = re.fullmatch(r"(stages\.0\.(?:blocks|nlls))\.(\d+)\.(.*)", name)
        source = name
        if found:
            source = f"{found[1]}.{runs[int(found[2])][0]}.{found[3]}"
        weights[name] = model.state_dict()[source]
        assert weights[name].shape == value.shape
    untied.load_state_dict(weights)

    images, labels = torch.randn(6, 1, 8, 8), torch.tensor([0, 1, 2, 3, 4, 0])
    logits = untied(images)
    torch.testing.assert_close(model(images), logits)
    F.cross_entropy(logits, labels).backward()
    norms = []
    for block in untied.stages[0].blocks:
        layers = (block.qkv, block.proj, block.mlp.fc1, block.mlp.fc2)
        norms.append(torch.cat([layer.weight.grad.flatten() for layer in layers]).norm())
    wanted = torch.stack(norms) / sum(norms)
    assert wanted.max() > 1.2 * wanted.min()
    torch.testing.assert_close(
        torch.tensor(gradient_shares(model, images, labels)), wanted, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "change", [{"relax": Relax(norm=True, gain=True, lora=2)}, {"relax": Relax(experts=2)}], ids=str
)
def test_gradient_shares_leave_a_model_as_it_was(change):
    torch.manual_seed(0)
    model = SReT(replace(TINY, **change), 0).train()  # no activation may be kept
    state = {name: value.clone() for name, value in model.named_parameters()}
    ways = [stage.run_block for stage in model.stages]
    shares = gradient_shares(model.eval(), torch.randn(4, 1, 8, 8), torch.arange(4))
    assert len(shares) == 7
    assert sum(shares) == pytest.approx(1)
    assert [stage.run_block for stage in model.stages] == ways
    assert model.memory_budget == 0
    assert all(p.grad is None and torch.equal(p, state[n]) for n, p in model.named_parameters())
