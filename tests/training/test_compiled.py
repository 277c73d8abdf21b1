"""Blocks are compiled only if they compute the same. Compilers are made up here."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.artifacts.names import RESULT
from sret_search.job import Augment, Data, Job, Recipe
from sret_search.training import compiled, train
from sret_search.training.results import Notice
from sret_search.training.trainer import Trainer

torch.set_num_threads(1)

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute")  # read by the compiler

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=8, heads=2, unique=1, loops=2, groups=(4, 2), mlp_ratio=2.0),),
    nll=NLL("block"), residual=Residual("lrc"), permutation="official", drop_path=0.3,
)  # fmt: skip
# One batch an epoch, in two parts.
RECIPE = Recipe(
    epochs=3, batch_size=400, accumulate=2, lr=1e-2, ema=0.9, depth_training="sampled", compile=True,
    augment=Augment(mixup=0.8, erasing=0.25),
)  # fmt: skip
JOB = Job(TINY, RECIPE, Data(test=0.7), seed=1)
PLAIN = replace(JOB, recipe=replace(RECIPE, compile=False))
TWO = replace(
    JOB, architecture=replace(TINY, drop_path=0.0, permutation="stride"), processes=2,
    recipe=replace(RECIPE, augment=Augment(), optimizer="sgd", lr=0.03),
)  # fmt: skip
Graph = Callable[..., tuple[Tensor, ...]]


def exact(graph: Graph, inputs: list[Tensor]) -> Graph:
    """Run the graph as it is."""
    return graph


def wrong(graph: Graph, inputs: list[Tensor], factor: float = 1.01) -> Graph:
    """A kernel with a wrong number."""
    return lambda *given: tuple(out * factor for out in graph(*given))


def very_wrong(graph: Graph, inputs: list[Tensor]) -> Graph:
    """A kernel with a wrong number that no rounding of bfloat16 explains."""
    return wrong(graph, inputs, 1.5)


def broken(graph: Graph, inputs: list[Tensor]) -> Graph:
    """A machine without what the compiler needs."""
    raise RuntimeError("no such kernel:\n" + "a page of hints\n" * 100)


class _Unbackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        raise RuntimeError("no such backward kernel")


def half_broken(graph: Graph, inputs: list[Tensor]) -> Graph:
    """A kernel whose backward pass cannot be compiled."""
    return lambda *given: tuple(_Unbackward.apply(out) for out in graph(*given))


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """A function that sets the compiler of CPUs."""

    def set_to(backend: Any) -> None:
        torch._dynamo.reset()
        monkeypatch.setitem(compiled.COMPILERS, "cpu", backend)

    yield set_to
    torch._dynamo.reset()


def trained(job: Job, attempt: Path, **named: Any) -> tuple[dict[str, Any], list[str]]:
    """The result of a training, and its notices."""
    told: list[Any] = []
    result = train.train(job, attempt, told.append, **named)
    return result.to_dict(), [each.text for each in told if isinstance(each, Notice)]


def losses(result: dict[str, Any]) -> list[tuple[float, ...]]:
    return [(m["train_loss"], m["val_loss"], m["val_accuracy"]) for m in result["history"]]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_compiler_that_computes_the_same_is_used(
    precision: Any, tmp_path: Path, compiler: Callable[[Any], None]
) -> None:
    graphs = []

    def counted(graph: Graph, inputs: list[Tensor]) -> Graph:
        graphs.append(graph)
        return graph

    compiler(counted)
    plain, job = (replace(j, recipe=replace(j.recipe, precision=precision)) for j in (PLAIN, JOB))
    eager, _ = trained(plain, tmp_path / "a")
    assert not graphs
    assert "blocks" not in eager["environment"]
    found, notices = trained(job, tmp_path / "b")
    assert graphs
    assert (found["environment"]["blocks"], notices) == ("compiled", [])
    # The check leaves random numbers and statistics of batch normalisation as they were.
    assert losses(found) == losses(eager)
    assert found["test_loss"] == eager["test_loss"]


@pytest.mark.parametrize(
    ("backend", "precision", "why"),
    [
        (wrong, "float32", "compiled, the first loss differs by "),
        (very_wrong, "bf16", "compiled, the first loss differs by "),
        (
            broken,
            "float32",
            "compiling failed: backend='broken' raised: RuntimeError: no such kernel",
        ),
        (half_broken, "bf16", "compiling failed: no such backward kernel"),
    ],
)
def test_a_compiler_that_does_not_is_not_used_and_the_user_is_told(
    backend: Any, precision: Any, why: str, tmp_path: Path, compiler: Callable[[Any], None]
) -> None:
    compiler(backend)
    plain, job = (replace(j, recipe=replace(j.recipe, precision=precision)) for j in (PLAIN, JOB))
    eager, _ = trained(plain, tmp_path / "a")
    found, (notice,) = trained(job, tmp_path / "b")
    assert notice.startswith(f"the blocks are not compiled: {why}")
    assert len(notice) < 300
    assert len(notice.splitlines()) == 1
    assert "TORCHDYNAMO" not in notice
    assert found["environment"]["blocks"] == notice.replace("the blocks are not compiled", "eager")
    assert losses(found) == losses(eager)
    assert found["test_loss"] == eager["test_loss"]


def test_rounding_of_bfloat16_is_no_difference(
    tmp_path: Path, compiler: Callable[[Any], None]
) -> None:
    compiler(wrong)
    found, notices = trained(replace(JOB, recipe=replace(RECIPE, precision="bf16")), tmp_path / "a")
    assert (found["environment"]["blocks"], notices) == ("compiled", [])


@pytest.mark.parametrize(("first", "later"), [(wrong, exact), (exact, wrong)])
def test_a_training_that_goes_on_does_not_decide_again(
    first: Any, later: Any, tmp_path: Path, compiler: Callable[[Any], None]
) -> None:
    compiler(first)
    told: list[Any] = []
    stopped = train.train(JOB, tmp_path / "a", told.append, stopping=lambda: True)
    assert stopped == replace(stopped, steps=0)  # nothing is decided before the first step
    attempt = tmp_path / "attempt-1"
    trainer = Trainer(JOB, tmp_path)
    assert "eager" not in trainer.state_dict()
    list(trainer.steps())
    trainer.end_epoch()
    attempt.mkdir()
    trainer.save(attempt)
    compiler(later)
    found, notices = trained(JOB, tmp_path / "attempt-2", earlier_attempts=[attempt])
    assert notices == []
    assert found["environment"]["blocks"].split(":")[0] == (
        "eager" if first is wrong else "compiled"
    )
    again = Trainer(JOB, tmp_path)
    again.load_state_dict(trainer.state_dict())
    assert again.blocks.eager == trainer.blocks.eager
    compiler(exact)
    if first is wrong:
        eager, _ = trained(PLAIN, tmp_path / "b")
        assert losses(found) == losses(eager)


_train_as = train.train_as


def _compiling(rank: Any, *arguments: Any) -> Any:
    """As `train.train_as`, in a process that compiles on CPUs."""
    compiled.COMPILERS["cpu"] = "aot_eager"
    return _train_as(rank, *arguments)


def _compiling_wrongly(rank: Any, *arguments: Any) -> Any:
    """As `train.train_as`, where the second process compiles wrongly."""
    compiled.COMPILERS["cpu"] = broken if rank.index else exact
    return _train_as(rank, *arguments)


@pytest.mark.parametrize("work", [_compiling, _compiling_wrongly])
def test_two_processes_decide_together(
    work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = trained(replace(TWO, processes=1), tmp_path / "one")
    monkeypatch.setattr(train, "train_as", work)
    _, notices = trained(TWO, tmp_path / "two")
    two = json.loads((tmp_path / "two" / RESULT).read_text())
    blocks = two["environment"]["blocks"]
    assert blocks.startswith("compiled" if work is _compiling else "eager: compiling failed: ")
    assert len(notices) == (work is _compiling_wrongly)
    for alone, shared in zip(losses(one), losses(two), strict=True):
        assert shared[:2] == pytest.approx(alone[:2], abs=1e-5)


def test_trainings_on_cpus_are_not_compiled(tmp_path: Path) -> None:
    assert compiled.compiler(True, "cuda:1") == "inductor"
    assert compiled.compiler(False, "cuda:1") is None
    assert compiled.compiler(True, "cpu") is None
    trainer = Trainer(JOB, tmp_path)
    next(trainer.steps())
    assert trainer.blocks.eager is None
