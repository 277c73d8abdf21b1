"""Bytes on disk in closed form, against files that are really written."""

import io
from dataclasses import replace

import pytest
import torch
from candidates import candidates

from sret_search.architecture import NLL, Architecture, Relax, Residual, Stage
from sret_search.architecture.variants import VARIANTS
from sret_search.job import Data, Job, Recipe
from sret_search.job.disk import checkpoint_bytes, kept_bytes
from sret_search.model import SReT
from sret_search.training import train
from sret_search.training.optimizer import averaged, optimizer
from sret_search.training.results import DepthMetrics, EpochMetrics
from sret_search.training.trainer import Trainer
from sret_search.units import size_text

torch.set_num_threads(1)

FEW = Data(val=0.1, test=0.7)
NARROW = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=8, heads=2, unique=2, loops=3, mlp_ratio=2.0),),
    nll=NLL("execution"), residual=Residual("layerscale"),
    relax=Relax(norm=True, gain=True, lora=1, experts=2),
)  # fmt: skip
WIDE = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(2,), stem="patch",
    stages=(Stage(width=48, heads=2, loops=2), Stage(width=96, heads=2)),
    nll=NLL("block"), residual=Residual("scaled"),
)  # fmt: skip
RECIPES = {
    "adamw": Recipe(batch_size=8),
    "average": Recipe(batch_size=8, ema=0.9),
    "sgd": Recipe(batch_size=8, optimizer="sgd"),
}


def near(found: int, wanted: int) -> bool:
    return abs(found - wanted) <= 0.05 * wanted + 15_000


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("architecture", [NARROW, WIDE], ids=["narrow", "wide"])
def test_a_checkpoint_is_as_large_as_it_was_estimated(tmp_path, architecture, recipe):
    trainer = Trainer(Job(architecture, recipe, FEW, seed=1), tmp_path)
    next(trainer.steps())
    trainer.save(tmp_path)
    (file,) = tmp_path.glob("checkpoint-*.pt")
    assert near(checkpoint_bytes(architecture, recipe), file.stat().st_size)


def test_a_checkpoint_grows_with_its_history(tmp_path):
    recipe, epochs = RECIPES["sgd"], 300
    trainer = Trainer(Job(NARROW, recipe, FEW, seed=1), tmp_path)
    next(trainer.steps())
    trainer.save(tmp_path / "before")
    for epoch in range(1, epochs + 1):
        trainer.history.append(
            EpochMetrics(
                epoch=epoch, step=900 * epoch,
                **dict.fromkeys(("train_loss", "val_loss", "val_accuracy", "seconds"), epoch / 7),
            )
        )  # fmt: skip
        shares = [epoch / (7 + i) for i in range(NARROW.executions)]
        reads = list(range(4, 7))
        trainer.depths.append(
            DepthMetrics(epoch, shares, shares[::-1], shares[:], shares[:], reads, shares[:3])
        )
    trainer.save(tmp_path / "after")
    before, after = (
        next((tmp_path / name).iterdir()).stat().st_size for name in ("before", "after")
    )
    grown = checkpoint_bytes(NARROW, recipe, epochs, True) - checkpoint_bytes(NARROW, recipe)
    assert after - before == pytest.approx(grown, rel=0.1)
    assert checkpoint_bytes(NARROW, recipe, epochs) < checkpoint_bytes(NARROW, recipe, epochs, True)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_large_checkpoint_is_as_large_as_it_was_estimated(recipe):
    a = VARIANTS["sret_t"]
    model = SReT(a)
    steps = optimizer(model, recipe)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    steps.step()
    state = {"model": model.state_dict(), "optimizer": steps.state_dict(), "average": None}
    if recipe.ema is not None:
        state["average"] = averaged(model, recipe.ema).state_dict()
    torch.save(state, file := io.BytesIO())
    assert checkpoint_bytes(a, recipe) == pytest.approx(file.tell(), rel=0.005)


def test_the_tensors_of_any_candidate_are_counted():
    recipe = Recipe()
    for a in candidates(25):
        model = SReT(a)
        steps = optimizer(model, recipe)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        steps.step()
        state = {"model": model.state_dict(), "optimizer": steps.state_dict()}
        torch.save(state, file := io.BytesIO())
        assert near(checkpoint_bytes(a, recipe), file.tell()), a


@pytest.mark.parametrize("monitor", [False, True])
def test_what_a_training_leaves_is_as_large_as_it_was_estimated(tmp_path, monitor):
    deep = replace(WIDE.stages[0], loops=8), replace(WIDE.stages[1], loops=200)
    a = replace(WIDE, stages=deep)
    twins = (a.at_loops(1),)
    data = Data(val=0.1, test=0.1)
    job = Job(a, Recipe(steps=1, batch_size=8), data, seed=1, monitor=monitor, reruns=twins)
    result = train.train(job, tmp_path, lambda metrics: None).to_dict()
    assert len(result["history"]) == 1
    files = [file for file in tmp_path.iterdir() if file.suffix != ".pt"]
    blocks = 4096 * (len(files) + 2)
    there = sum(file.stat().st_size for file in files)
    wanted = kept_bytes(a, 1, 180, 1, monitor)
    assert there <= wanted <= 1.05 * there + blocks + 4096


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 kB"), (1_499, "1 kB"), (999_400, "999 kB"), (999_600, "1 MB"), (57_460_000, "57.5 MB"),
        (999_900_000, "1 GB"), (1_234_000_000, "1.23 GB"), (20 * 10**12, "20 TB"),
    ],
)  # fmt: skip
def test_sizes_are_told_in_words(size, words):
    assert size_text(size) == words
