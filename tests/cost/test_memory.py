"""Predicted memory against all tensors that are alive in a training step."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from alive import Alive
from candidates import candidates

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.architecture.variants import VARIANTS
from sret_search.cost import segments, train_memory
from sret_search.model import SReT

torch.set_num_threads(1)
BATCH = 32


def measured(a, batch, budget, backprop=None):
    """The fullest moment of a training step: weights, AdamW's two moments, and all that forward
    and backward pass make."""
    torch.manual_seed(0)
    model = SReT(a, budget, backprop).train()
    labels = torch.zeros(batch, dtype=torch.long)
    with Alive() as alive:
        images = torch.randn(batch, a.in_channels, a.image_size, a.image_size)
        F.cross_entropy(model(images), labels).backward()
    return 3 * sum(4 * p.numel() for p in model.parameters()) + alive.peak


def _wider(a):
    """Large enough that activations count for more than what surrounds them."""
    stages = tuple(
        replace(s, width=4 * s.width, loops=4 * s.loops if isinstance(s.loops, int) else s.loops)
        for s in a.stages
    )
    return replace(a, stages=stages)


WIDE = [
    a for a in map(_wider, candidates(80, seed=5)) if 10 <= a.executions <= 40 and a.sides[0] >= 4
][:20]


@pytest.mark.parametrize("budget", [math.inf, 0], ids=["kept", "recomputed"])
@pytest.mark.parametrize("a", WIDE, ids=range(len(WIDE)))
def test_predicted_memory_is_within_15_percent(a, budget):
    predicted = train_memory(a, BATCH, budget).total
    assert predicted == pytest.approx(measured(a, BATCH, budget), rel=0.15)


@pytest.mark.parametrize("budget", [math.inf, 0], ids=["kept", "recomputed"])
@pytest.mark.parametrize("backprop", [4, 20])
def test_predicted_memory_of_the_last_loops_is_within_15_percent(backprop, budget):
    stage = Stage(64, 2, unique=2, loops=30, mlp_ratio=3.0)
    a = Architecture(32, 3, 10, (2, 2), (stage,), order="cycle", nll=NLL("block"))
    predicted = train_memory(a, BATCH, budget, backprop)
    assert predicted.total == pytest.approx(measured(a, BATCH, budget, backprop), rel=0.15)
    assert predicted == train_memory(a.at_loops(backprop), BATCH, budget)
    assert predicted.activations < train_memory(a, BATCH, budget).activations


def test_a_budget_is_kept_where_it_can_be():
    a = VARIANTS["sret_t"]
    whole, least = (train_memory(a, BATCH, budget).activations for budget in (math.inf, 0))
    assert least < whole / 3
    for part in (0.4, 0.6, 0.8, 0.95):
        budget = least + part * (whole - least)
        assert 0.8 * budget < train_memory(a, BATCH, budget).activations <= budget


def test_what_runs_last_is_kept_first():
    plans = segments(VARIANTS["sret_t"], BATCH, 0.8e9)
    kept = [plan.kept for plan in plans]
    assert kept[0] == 0 < kept[1] < 10
    assert kept[2] == 6


def test_segments_are_as_long_as_memory_wants():
    stage = Stage(64, 2, unique=10, loops=100)
    a = Architecture(64, 3, 10, (2, 2, 2), (stage,), nll=NLL("none"), residual=Residual("scaled"))
    [plan] = segments(a, BATCH, 0)
    best = plan.length

    def memory(length):
        kept, tokens = 8 * 64 + 2 * 256 + 6, 64
        return 1000 / length * tokens * 64 + length * tokens * kept

    assert memory(best) < 1.01 * min(map(memory, range(1, 1000)))
