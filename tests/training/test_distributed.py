"""Several processes train as one does."""

import json
import time
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from torch import nn

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.artifacts.names import HANG, RESULT
from sret_search.job import Data, Job, Recipe
from sret_search.training import train
from sret_search.training.batch_norm import SharedBatchNorm
from sret_search.training.data import DataError
from sret_search.training.distributed import Rank
from sret_search.training.results import CheckpointSaved, EpochMetrics, TrainingStopped
from sret_search.training.trainer import Trainer

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=8, heads=2, unique=1, loops=2, groups=(4, 2), mlp_ratio=2.0),),
    nll=NLL("block"), residual=Residual("lrc"),
)  # fmt: skip
# All images are one batch, so that each epoch's loss is that of one step. Not AdamW: it makes
# large steps of the rounding errors that are all there is to the gradient of some biases. At a
# rate of 0.1 such errors grow twentyfold a step after the first dozen.
RECIPE = Recipe(
    epochs=20, batch_size=400, accumulate=2, optimizer="sgd", lr=0.03, ema=0.9,
    depth_training="mixed", label_smoothing=0.1,
)  # fmt: skip
ONE = Job(TINY, RECIPE, Data(test=0.7), seed=1)
TWO = replace(ONE, processes=2)


_train_as = train.train_as


def _stop_go_on_then_fail(rank, report, stopping, *arguments):
    """As `train.train_as`, but the first process waits for a stop once its third step is saved,
    both go on from there, and the second one ends with an error."""
    train._ASKED_AFTER = 0.0

    def report_and_wait(metrics):
        report(metrics)
        while metrics == CheckpointSaved(3) and not stopping():
            time.sleep(0.01)

    stopped = _train_as(rank, report_and_wait, stopping, *arguments)
    if rank.is_first:
        report(stopped)
    result = _train_as(rank, report, lambda: False, *arguments)
    if rank.index == 1:
        raise DataError("an image of the second process is broken")
    return result


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes wrote, told, and ended with."""
    attempt, told = tmp_path_factory.mktemp("two") / "attempt-1", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "train_as", _stop_go_on_then_fail)
        patch.setattr(train, "_ASKED_AFTER", 0.0)
        with pytest.raises(DataError) as raised:
            train.train(TWO, attempt, told.append, stopping=lambda: CheckpointSaved(3) in told)
    return attempt, told, raised.value


def test_two_processes_stop_together_when_asked(two):
    _, told, _ = two
    (stopped,) = [each for each in told if isinstance(each, TrainingStopped)]
    assert stopped.steps == 3
    before = told[: told.index(stopped)]
    assert [each.step for each in before if isinstance(each, CheckpointSaved)] == [1, 2, 3]


def test_two_processes_have_the_losses_of_one(tmp_path, two):
    one = train.train(ONE, tmp_path, lambda metrics: None).to_dict()
    other = json.loads((two[0] / RESULT).read_text())
    assert one["steps"] == other["steps"] == 20
    assert one["history"][-1]["train_loss"] < one["history"][0]["train_loss"] - 0.2
    for name in ("train_loss", "val_loss"):
        alone, shared = ([m[name] for m in result["history"]] for result in (one, other))
        assert shared == pytest.approx(alone, abs=1e-5), name
    assert other["test_loss"] == pytest.approx(one["test_loss"], abs=1e-5)
    assert other["test_accuracy"] == pytest.approx(one["test_accuracy"], abs=2e-3)


def test_two_processes_train_through_the_last_loop_as_one_does(tmp_path):
    """The stem gets no gradient, in any step."""
    short = replace(RECIPE, epochs=4, depth_training={"backprop": 1}, depths=())
    job = replace(ONE, recipe=short)
    results = [
        train.train(replace(job, processes=n), tmp_path / f"{n}", lambda metrics: None).to_dict()
        for n in (1, 2)
    ]
    alone, shared = ([m["train_loss"] for m in result["history"]] for result in results)
    assert shared == pytest.approx(alone, abs=1e-5)
    assert alone[-1] < alone[0]


def test_two_processes_tell_of_each_epoch_once(two):
    attempt, told, _ = two
    epochs = [each.to_dict() for each in told if isinstance(each, EpochMetrics)]
    assert epochs == json.loads((attempt / RESULT).read_text())["history"]


def test_an_error_in_a_process_is_raised_as_it_is(two):
    assert str(two[2]) == "an image of the second process is broken"


def test_two_processes_leave_the_files_of_one(tmp_path, two):
    short = replace(ONE, recipe=replace(RECIPE, epochs=2))
    train.train(short, tmp_path, lambda metrics: None)
    kept = {path.name.split("-")[0] for path in tmp_path.iterdir()}
    assert {path.name.split("-")[0] for path in two[0].iterdir()} == kept
    assert HANG not in kept


@pytest.mark.parametrize("images", [2, 3, 5, 8, 42, 64])
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_processes_share_a_batch_once_in_equally_many_parts(images, processes, parts):
    batch = torch.randperm(images)
    ranks = [Rank(index, processes) for index in range(processes)]
    shares = [rank.share(batch, parts) for rank in ranks]
    assert len({len(share) for share in shares}) == 1
    assert all(len(part) for share in shares for part in share)
    # Together they take what one process alone takes, part by part.
    together = [torch.cat(each) for each in zip(*shares, strict=True)]
    alone = Rank().share(batch, len(together))
    assert len(together) <= parts
    assert all(torch.equal(one, other) for one, other in zip(together, alone, strict=True))
    assert torch.equal(torch.cat(together), batch)


def test_a_batch_too_small_for_the_processes_is_refused(tmp_path):
    # 359 images are 89 batches of 4 and one of 3.
    job = replace(ONE, recipe=replace(RECIPE, batch_size=4), processes=4)
    with pytest.raises(DataError, match="batch of 3 images, too few for 4 processes"):
        Trainer(job, tmp_path, Rank(0, 4))


@pytest.fixture
def group():
    """A group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_shared_batch_normalisation_is_the_ordinary_one(group, dtype):
    torch.manual_seed(2)
    ordinary = nn.BatchNorm2d(4, momentum=0.3)
    with torch.no_grad():
        ordinary.weight.uniform_(0.5, 2)
        ordinary.bias.uniform_(-1, 1)
    if dtype == torch.float64:
        ordinary.double()
    copied = nn.BatchNorm2d(4, momentum=0.3).to(ordinary.weight.dtype)
    copied.load_state_dict(ordinary.state_dict())
    shared = SharedBatchNorm.of(copied)
    close = {
        torch.float64: {"rtol": 1e-9, "atol": 1e-9},
        torch.float32: {"rtol": 1e-4, "atol": 1e-5},
        torch.bfloat16: {"rtol": 2e-2, "atol": 2e-2},
    }[dtype]
    for training in (True, True, False):
        ordinary.train(training)
        shared.train(training)
        # 257 images, which bfloat16 has no number for.
        x = (3 * torch.randn(257, 4, 1, 1, dtype=torch.float64) + 1).to(dtype)
        ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        out, wanted = shared(ours), ordinary(theirs)
        torch.testing.assert_close(out, wanted, **close)
        slope = torch.randn(out.shape, dtype=torch.float64).to(dtype)
        out.backward(slope)
        wanted.backward(slope)
        torch.testing.assert_close(ours.grad, theirs.grad, **close)
    for name, value in ordinary.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(shared.parameters(), ordinary.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=2e-2, atol=2e-1)


def test_shared_batch_normalisation_shares_parameters_and_buffers(group):
    norm = nn.BatchNorm2d(3)
    shared = SharedBatchNorm.of(norm)
    shared(torch.randn(4, 3, 2, 2)).sum().backward()
    assert norm.weight.grad is not None
    assert norm.num_batches_tracked == 1
    assert (norm.running_mean != 0).all()
