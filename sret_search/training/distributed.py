"""Training in several processes, each with its share of every batch. torch's launcher starts them,
and its DDP averages gradients, through NCCL on GPUs and gloo on CPUs."""

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

from sret_search.errors import chain
from sret_search.training.batch_norm import SharedBatchNorm
from sret_search.training.causes import is_lost_peer

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Rank:
    """Index of this process and number of processes. A single process synchronises nothing."""

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.index == 0

    def device(self, kind: str) -> str:
        """The device of this process.

        Args:
            kind: "cpu" or "cuda".
        """
        return f"cuda:{self.index}" if kind == "cuda" and self.count > 1 else kind

    def wrap(self, objective: nn.Module, unused: bool = False) -> nn.Module:
        """The objective, with gradients averaged over processes and batch normalisation over all
        their images. With `unused`, some parameters get no gradient in some steps."""
        if self.count == 1:
            return objective
        for module in list(objective.modules()):
            for name, child in module.named_children():
                if type(child) is nn.BatchNorm2d:
                    setattr(module, name, SharedBatchNorm.of(child))
        device = next(objective.parameters()).device
        ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(objective, device_ids=ids, find_unused_parameters=unused)

    def synchronised(self, objective: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Context of a backward pass. Gradients are averaged only with the last part of a batch."""
        if isinstance(objective, DistributedDataParallel) and not last:
            return objective.no_sync()
        return nullcontext()

    def share(self, batch: Tensor, parts: int) -> list[Tensor]:
        """Parts of a batch that this process takes, one after the other."""
        # Processes take parts together: each has the same number of parts, none of them empty.
        parts = max(min(parts, len(batch) // self.count), 1)
        return [part.tensor_split(self.count)[self.index] for part in batch.tensor_split(parts)]

    def mean(self, values: Tensor) -> Tensor:
        """Mean over processes."""
        if self.count > 1:
            dist.all_reduce(values)
            values = values / self.count
        return values

    def gather(self, rows: Tensor) -> Tensor:
        """Rows of all processes, in the order of their index."""
        if self.count == 1:
            return rows
        gathered: list[Any] = [None] * self.count
        dist.all_gather_object(gathered, rows)
        return torch.cat(gathered)

    def first(self, text: str | None) -> str | None:
        """The text of the first process that has one; None if no process has."""
        if self.count == 1:
            return text
        gathered: list[Any] = [None] * self.count
        dist.all_gather_object(gathered, text)
        return next((each for each in gathered if each is not None), None)

    def agree(self, *wishes: bool) -> list[bool]:
        """Wishes of the first process, sent to all processes in a single exchange."""
        if self.count == 1:
            return list(wishes)
        shared = torch.tensor(wishes, dtype=torch.uint8)
        if dist.get_backend() == "nccl":
            shared = shared.cuda(self.index)
        dist.broadcast(shared, 0)
        return [bool(wish) for wish in shared.tolist()]


ALONE = Rank()


class RankDied(Exception):
    """A process of a training was killed, or ended before it could report an error."""


@dataclass(frozen=True)
class _Failure:
    """The error of a process, and the errors behind it, which pickling would lose."""

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
    """The error, or a RuntimeError with its message if it cannot be pickled."""
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # noqa: BLE001  foreign classes may raise anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


_LEFT = 20.0
"""Seconds in which the launcher must notice that all of its processes have ended."""
_LOOK = 1.0
"""Seconds between two checks of the processes."""


def launch(
    work: Callable[..., _Result],
    arguments: tuple[Any, ...],
    processes: int,
    device: str,
    attempt: Path,
    report: Callable[[Any], None],
    stopping: Callable[[], bool],
) -> _Result:
    """Run `work(rank, report, stopping, *arguments)` in several processes; return the first result.

    `report` and `stopping` run in this process. No process is left when the function ends.

    Args:
        processes: number of processes.
        device: "cpu" or "cuda".
        attempt: folder of the attempt.

    Raises:
        Exception: the error of a process, unless it only reports the loss of another.
        RankDied: a process was killed, or could not report its error.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    context = get_context("spawn")
    earlier = set(active_children())
    with context.Manager() as manager:
        earlier |= set(active_children())
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
            except BaseException as error:  # noqa: BLE001  raised again in the waiting thread
                ended["error"] = error

        # The launcher blocks until all processes end. Metrics and the wish to stop pass through
        # queues.
        thread = threading.Thread(target=run, daemon=True)
        ranks = _Ranks(earlier)
        thread.start()
        try:
            while thread.is_alive() or not metrics.empty():
                if ranks.are_gone():
                    break
                if stopping():
                    stop.set()
                try:
                    message = metrics.get(timeout=0.1)
                except queue.Empty:
                    continue
                if isinstance(message, _Failure):
                    failures.append(message)
                else:
                    report(message)
        except (EOFError, ConnectionError) as error:
            raise RankDied("the process that connects those of the training was killed") from error
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
    """The processes that a launcher starts, seen from this process.

    Args:
        earlier: child processes that existed before.
    """

    def __init__(self, earlier: set[BaseProcess]) -> None:
        self._earlier = earlier
        self._seen: dict[int, BaseProcess] = {}
        self._looked = self._lived = time.monotonic()

    def look(self) -> bool:
        """Whether any of them is alive."""
        there = [child for child in active_children() if child not in self._earlier]
        self._seen |= {child.pid: child for child in there if child.pid is not None}
        return bool(there)

    def are_gone(self) -> bool:
        """Whether all of them ended so long ago that the launcher should have noticed."""
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
        """Signals that ended processes of the training."""
        codes = (process.exitcode for process in self._seen.values())
        return {-code for code in codes if code is not None and code < 0}


def _why(errors: list[BaseException], ranks: _Ranks, ended: BaseException | None) -> BaseException:
    """The most telling error of a training in several processes.

    The error of a process, or the signal that ended it, says more than its loss as others saw it.
    """
    telling = [error for error in errors if not is_lost_peer(error)]
    if telling:
        return telling[0]
    # The launcher ends the remaining processes by SIGTERM.
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
            torch.cuda.init()  # raises a clear error if there is no CUDA
            torch.cuda.set_device(rank.index)
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
        return work(rank, metrics.put, stop.is_set, *arguments)
    except Exception as error:
        with suppress(Exception):  # the receiver may be gone
            metrics.put(_Failure.of(error))
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
