"""The networks of 1000 shared layers train: three steps of two images each."""

import math
import multiprocessing
import time
from dataclasses import asdict, dataclass

import pytest
import torch
from alive import Alive

from sret_search.architecture.variants import VARIANTS
from sret_search.cost import MEMORY_BUDGET, train_memory
from sret_search.job import Data, Job, Recipe
from sret_search.model import SReT
from sret_search.training.loss import TrainingLoss
from sret_search.training.optimizer import optimizer

NAMES = sorted(name for name in VARIANTS if name.startswith("sret_1000_"))
IMAGES, STEPS = 2, 3


@dataclass(frozen=True, slots=True)
class Training:
    """What became of a training.

    Attributes:
        losses: of the steps.
        norms: of the gradients of the steps.
        without: names of parameters whose gradient was zero in all steps.
        peak: most bytes of weights, optimizer state, gradients and activations.
        seconds: of each step.
    """

    losses: list[float]
    norms: list[float]
    without: list[str]
    peak: int
    seconds: list[float]


def trained(name: str) -> Training:
    """Train a network for some steps."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    a = VARIANTS[name]
    job = Job(a, Recipe(batch_size=IMAGES, lr=1e-4), Data(), seed=0)
    model = SReT(a).train()
    loss, adamw = TrainingLoss(model, job), optimizer(model, job.recipe)
    weights = sum(parameter.nbytes for parameter in model.parameters())
    without = {name for name, _ in model.named_parameters()}
    losses, norms, seconds = [], [], []
    with Alive() as alive:
        images_BCSS = torch.randn(IMAGES, a.in_channels, a.image_size, a.image_size)
        labels_B = torch.randint(a.classes, (IMAGES,))
        for _ in range(STEPS):
            began = time.perf_counter()
            adamw.zero_grad()
            value = loss(images_BCSS, labels_B, 0)
            value.backward()
            adamw.step()
            seconds.append(time.perf_counter() - began)
            losses.append(value.item())
            del value
            squares = 0.0
            for parameter_name, parameter in model.named_parameters():
                if parameter.grad is not None:
                    square = float(parameter.grad.square().sum())
                    squares += square
                    if square > 0:
                        without.discard(parameter_name)
            norms.append(math.sqrt(squares))
    return Training(losses, norms, sorted(without), weights + alive.peak, seconds)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_shared_layers_train(name: str) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as alone:
        found = alone.apply(trained, (name,))
    predicted = train_memory(VARIANTS[name], IMAGES, MEMORY_BUDGET).total
    print(name, asdict(found), predicted)
    assert all(map(math.isfinite, (*found.losses, *found.norms)))
    assert found.without == []
    assert found.losses[-1] < found.losses[0]
    assert predicted == pytest.approx(found.peak, rel=0.15)
