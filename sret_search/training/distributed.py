"""Several processes for one training: each takes its share of every batch.

Processes are started by torch's own launcher, gradients are averaged by its DDP, through NCCL
on GPUs and gloo on CPUs.
"""

from __future__ import annotations

import itertools
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.nn.parallel import DistributedDataParallel

from sret_search.training.causes import chain, is_of_peers

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Rank:
    """Which of how many processes this is. Alone, nothing is synchronised."""

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.index == 0

    def device(self, kind: str) -> str:
        """The device of this process."""
        return f"cuda:{self.index}" if kind == "cuda" and self.count > 1 else kind

    def wrap(self, objective: nn.Module) -> nn.Module:
        """The objective with gradients averaged over processes, and batch normalisation over
        all of their images."""
        if self.count == 1:
            return objective
        for module in list(objective.modules()):
            for name, child in module.named_children():
                if type(child) is nn.BatchNorm2d:
                    setattr(module, name, SharedBatchNorm.of(child))
        device = next(objective.parameters()).device
        ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(objective, device_ids=ids, find_unused_parameters=False)

    def synchronised(self, objective: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Around a backward pass: gradients are averaged with the last part of a batch only."""
        if isinstance(objective, DistributedDataParallel) and not last:
            return objective.no_sync()
        return nullcontext()

    def share(self, batch: Tensor, parts: int) -> list[Tensor]:
        """This process's parts of a batch, to be taken one after the other."""
        # As many parts for each process, since they take them together: none is without images.
        parts = max(min(parts, len(batch) // self.count), 1)
        return [part.tensor_split(self.count)[self.index] for part in batch.tensor_split(parts)]

    def mean(self, values: Tensor) -> Tensor:
        """The mean over processes."""
        if self.count > 1:
            dist.all_reduce(values)
            values = values / self.count
        return values

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, one after the other."""
        if self.count == 1:
            return rows
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, rows)
        return torch.cat(found)

    def agree(self, *wishes: bool) -> list[bool]:
        """What the first process wishes, told to all in one exchange."""
        if self.count == 1:
            return list(wishes)
        told = torch.tensor(wishes, dtype=torch.uint8)
        if dist.get_backend() == "nccl":
            told = told.cuda(self.index)
        dist.broadcast(told, 0)
        return [bool(wish) for wish in told.tolist()]


ALONE = Rank()


class _Total(torch.autograd.Function):
    """The sum over processes. A value adds to the totals of all, so their gradients add up too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Tensor:
        return _total(slopes)


def _total(values: Tensor) -> Tensor:
    total: Tensor = _Total.apply(values)  # type: ignore[no-untyped-call]
    return total


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the images of all processes, on CPUs as on GPUs."""

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> SharedBatchNorm:
        """The same parameters and buffers, shared."""
        twin = cls(norm.num_features, norm.eps, norm.momentum)
        twin.load_state_dict(norm.state_dict(keep_vars=True), assign=True)
        return twin.train(norm.training)

    def forward(self, x_BDSS: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x_BDSS)
        # In float32 at least: bfloat16 cannot even count to 257.
        wide_BDSS = x_BDSS.to(torch.promote_types(x_BDSS.dtype, torch.float32))
        dims, count = (0, 2, 3), wide_BDSS.new_tensor([x_BDSS.numel() / x_BDSS.shape[1]])
        sums = _total(torch.cat([wide_BDSS.sum(dims), count]))
        mean_D, total = sums[:-1] / sums[-1], sums[-1].detach()
        centred_BDSS = wide_BDSS - mean_D[:, None, None]
        var_D = _total(centred_BDSS.square().sum(dims)) / total
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean_D, self.momentum)
            self.running_var.lerp_(var_D * total / (total - 1), self.momentum)
        scale_D = self.weight * (var_D + self.eps).rsqrt()
        out_BDSS: Tensor = centred_BDSS * scale_D[:, None, None] + self.bias[:, None, None]
        return out_BDSS.to(x_BDSS.dtype)


class RankDied(Exception):
    """A process of a training was killed, or ended before it could say why."""


@dataclass(frozen=True)
class _Failure:
    """What a process ended with: its error, and those behind it, which pickling would lose."""

    errors: list[BaseException]

    @classmethod
    def of(cls, error: BaseException) -> _Failure:
        return cls([_sendable(behind) for behind in chain(error)])

    @property
    def error(self) -> BaseException:
        for error, behind in itertools.pairwise(self.errors):
            error.__cause__ = behind
        return self.errors[0]


def _sendable(error: BaseException) -> BaseException:
    """The error, or its words, where a queue between processes cannot take it."""
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # noqa: BLE001  whatever a class of others does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


_LEFT = 20.0
"""Seconds that the launcher may take to see that all of its processes have ended."""
_LOOK = 1.0
"""Seconds between two looks at whether they have."""


def launch(
    work: Callable[..., _Result],
    arguments: tuple[Any, ...],
    processes: int,
    device: str,
    attempt: Path,
    report: Callable[[Any], None],
    stopping: Callable[[], bool],
) -> _Result:
    """Run `work(rank, report, stopping, *arguments)` in so many processes; what the first returns.

    `report` and `stopping` run here, where they were made. No process is left when this ends.

    Raises:
        Exception: what a process ended with, if that is more than the loss of another one.
        RankDied: a process was killed, or could not tell what it ended with.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    context = get_context("spawn")
    others = set(active_children())
    with context.Manager() as manager:
        others |= set(active_children())
        metrics, stop = manager.Queue(), manager.Event()
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id=attempt.name,
            rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0,
        )  # fmt: skip
        ended: dict[str, Any] = {}
        failures: list[_Failure] = []

        def run() -> None:
            try:
                ended["results"] = elastic_launch(config, _process)(
                    work, arguments, device, metrics, stop
                )
            except BaseException as error:  # noqa: BLE001  raised again where it is waited for
                ended["error"] = error

        # The launcher waits until all is over; metrics are told from here as they come, and
        # that the training shall stop is told to it.
        thread = threading.Thread(target=run, daemon=True)
        ranks = _Ranks(others)
        thread.start()
        try:
            while thread.is_alive() or not metrics.empty():
                if ranks.are_gone():
                    break
                if stopping():
                    stop.set()
                try:
                    told = metrics.get(timeout=0.1)
                except queue.Empty:
                    continue
                if isinstance(told, _Failure):
                    failures.append(told)
                else:
                    report(told)
        except (EOFError, ConnectionError) as error:
            raise RankDied("the process between those of the training was killed") from error
        finally:
            ranks.look()
            if thread.is_alive():
                ranks.kill()
                thread.join(_LEFT)
    if "results" in ended:
        result: _Result = ended["results"][0]
        return result
    raise _why([failure.error for failure in failures], ranks, ended.get("error"))


class _Ranks:
    """The processes that a launcher starts, as this one sees them.

    Args:
        others: processes that this one had before.
    """

    def __init__(self, others: set[BaseProcess]) -> None:
        self._others = others
        self._seen: dict[int, BaseProcess] = {}
        self._looked = self._lived = time.monotonic()

    def look(self) -> bool:
        """Whether any of them is there."""
        there = [child for child in active_children() if child not in self._others]
        self._seen |= {child.pid: child for child in there if child.pid is not None}
        return bool(there)

    def are_gone(self) -> bool:
        """Whether all of them ended so long ago that the launcher should have said so."""
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            if self.look() or not self._seen:
                self._lived = now
        return now - self._lived > _LEFT

    def kill(self) -> None:
        for process in self._seen.values():
            process.kill()

    @property
    def signals(self) -> set[int]:
        """The signals that ended some of them."""
        codes = (process.exitcode for process in self._seen.values())
        return {-code for code in codes if code is not None and code < 0}


def _why(errors: list[BaseException], ranks: _Ranks, ended: BaseException | None) -> BaseException:
    """What a training of several processes ended with: the loss of another process says less
    than what that one told, or the signal that ended it."""
    telling = [error for error in errors if not is_of_peers(error)]
    if telling:
        return telling[0]
    # The launcher ends those that are left by SIGTERM.
    killed = ranks.signals - {signal.SIGTERM}
    if errors and not killed:
        return errors[0]
    for number in killed or ranks.signals:
        name = signal.Signals(number).name
        return RankDied(f"a process of the training was ended by {name}")
    if ended is not None and not isinstance(ended, ChildFailedError):
        return ended
    return RankDied("a process of the training ended before it could say why")


def _process(
    work: Callable[..., _Result],
    arguments: tuple[Any, ...],
    device: str,
    metrics: Any,
    stop: Any,
) -> _Result:
    try:
        rank = Rank(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
        if device == "cuda":
            torch.cuda.init()  # says what is wrong where there is no CUDA
            torch.cuda.set_device(rank.index)
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
        return work(rank, metrics.put, stop.is_set, *arguments)
    except Exception as error:
        with suppress(Exception):  # nobody may be there to be told
            metrics.put(_Failure.of(error))
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
