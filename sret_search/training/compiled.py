"""The check before the first step that compiled blocks compute the same as uncompiled ones."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from sret_search.model import SReT
from sret_search.training import batch_norm
from sret_search.training.distributed import Rank
from sret_search.training.loss import TrainingLoss

COMPILERS: dict[str, str | Callable[..., Any]] = {"cuda": "inductor"}
"""Backend of `torch.compile` for each kind of device. On other devices nothing is compiled: on a
CPU it brought nothing."""

TOLERANCES = {"float32": 1e-3, "bf16": 0.1}
"""Largest difference of the loss and of the gradient that rounding may cause, by the precision of
activations, relative to the loss and to the norm of the gradient."""

_LONGEST = 200
"""Characters of a compiler's message that are shown; some are pages."""

EAGER = "the blocks are not compiled"


def compiler(recipe_compiles: bool, device: str) -> str | Callable[..., Any] | None:
    """The backend that compiles the blocks of a training; None if they are not compiled.

    Args:
        device: such as "cpu" or "cuda:1".
    """
    return COMPILERS.get(device.partition(":")[0]) if recipe_compiles else None


class Blocks:
    """The choice between compiled and uncompiled blocks of a training.

    Attributes:
        eager: why they are not compiled; empty if they are, None if nothing is decided.
    """

    def __init__(self, loss: TrainingLoss, average: AveragedModel | None, device: str) -> None:
        self._loss = loss
        self._models = [*loss.paths, *([] if average is None else [average.module])]
        self._backend = compiler(loss.recipe.compile, device)
        self.eager: str | None = None

    def choose(self, rank: Rank, images_BCSS: Tensor, targets: Tensor, drawn: int) -> None:
        """Compile the blocks if no process finds a difference on its images of the first batch.
        Later calls change nothing."""
        if self._backend is not None and self.eager is None:
            why = difference(self._loss, images_BCSS, targets, drawn, self._run)
            self._decide(rank.first(why) or "")

    def state_dict(self) -> dict[str, str]:
        """The decision, as checkpoints have it; empty before it."""
        return {} if self.eager is None else {"eager": self.eager}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the decision of a checkpoint. Earlier versions compiled without a check."""
        if self._backend is not None and state["step"] > 0:
            self._decide(state.get("eager", ""))

    def _decide(self, eager: str) -> None:
        self.eager = eager
        self._run(not eager)

    def _run(self, are_compiled: bool) -> None:
        for model in self._models:
            assert isinstance(model, SReT)
            if are_compiled:
                assert self._backend is not None
                model.compile_blocks(self._backend)
            else:
                model.run_eagerly()


def difference(
    loss: TrainingLoss,
    images_BCSS: Tensor,
    targets: Tensor,
    drawn: int,
    run: Callable[[bool], None],
) -> str | None:
    """The reason why compiled blocks cannot be used for a training; None if they can.

    A pass of the first batch is computed both ways with the same random numbers. Random generators
    and statistics of batch normalisation are afterwards as before, and the gradients are None.
    Processes compute it apart, each with its own images.

    Args:
        loss: with the arguments of its call.
        run: makes the blocks run compiled (True) or uncompiled (False).

    Raises:
        torch.OutOfMemoryError: a pass does not fit the memory.
    """
    precision = loss.recipe.precision
    try:
        run(False)
        wanted = _pass(loss, images_BCSS, targets, drawn)
        run(True)
        try:
            found = _pass(loss, images_BCSS, targets, drawn)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001  compilers may raise anything
            return f"compiling failed: {_first_paragraph(error)}"
    finally:
        loss.zero_grad()
    apart = _apart(wanted, found)
    most = TOLERANCES[precision]
    if all(value <= most for value in apart):
        return None
    by_loss, by_gradient = (f"{value:.2g}" for value in apart)
    return (
        f"compiled, the first loss differs by {by_loss} and its gradient by {by_gradient} of their"
        f" size, where rounding of {precision} explains {most:g}"
    )


def _first_paragraph(error: Exception) -> str:
    """The beginning of a compiler's message. Hints for developers follow it."""
    text, *_ = str(error).strip().split("\n\n")
    return textwrap.shorten(text or type(error).__name__, _LONGEST)


def _pass(
    loss: TrainingLoss, images_BCSS: Tensor, targets: Tensor, drawn: int
) -> tuple[Tensor, list[Tensor | None]]:
    """The loss and the gradients of all parameters."""
    loss.zero_grad()
    with _as_before(loss, images_BCSS.device), batch_norm.apart():
        value = loss(images_BCSS, targets, drawn)
        value.backward()
    return value.detach(), [parameter.grad for parameter in loss.parameters()]


@contextmanager
def _as_before(loss: TrainingLoss, device: torch.device) -> Iterator[None]:
    """Put back the random generators and all buffers after the block."""
    devices = [device] if device.type == "cuda" else []
    buffers = [(buffer, buffer.clone()) for buffer in loss.buffers()]
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _apart(
    wanted: tuple[Tensor, list[Tensor | None]], found: tuple[Tensor, list[Tensor | None]]
) -> tuple[float, float]:
    """Differences of the losses and of the gradients, relative to the wanted ones. Where no number
    is, they are infinite."""
    by_loss = _relative(float((found[0] - wanted[0]).abs()), float(wanted[0].abs()))
    squares = [0.0, 0.0]
    for want, find in zip(wanted[1], found[1], strict=True):
        if want is None and find is None:
            continue
        if want is None or find is None:
            return by_loss, math.inf
        squares[0] += float((find - want).double().square().sum())
        squares[1] += float(want.double().square().sum())
    return by_loss, _relative(*map(math.sqrt, squares))


def _relative(change: float, size: float) -> float:
    if not (math.isfinite(change) and math.isfinite(size)):
        return math.inf
    return change / size if size else (math.inf if change else 0.0)
