"""Several processes for one training: each takes its share of every batch.

Processes are started by torch's own launcher, gradients are averaged by its DDP, through NCCL
on GPUs and gloo on CPUs.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


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


def launch(
    work: Callable[..., dict[str, Any]],
    arguments: tuple[Any, ...],
    processes: int,
    device: str,
    attempt: Path,
    report: Callable[[dict[str, Any]], None],
    stopping: Callable[[], bool],
) -> dict[str, Any]:
    """Run `work(rank, report, stopping, *arguments)` in so many processes; what the first returns.

    `report` and `stopping` run here, where they were made.

    Raises:
        Exception: what a process ended with; ChildFailedError, where it could not tell.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    context = get_context("spawn")
    with context.Manager() as manager:
        metrics, stop = manager.Queue(), manager.Event()
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id=attempt.name,
            rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0,
        )  # fmt: skip
        ended: dict[str, Any] = {}
        errors: list[Exception] = []

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
        thread.start()
        while thread.is_alive() or not metrics.empty():
            if stopping():
                stop.set()
            try:
                told = metrics.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(told, Exception):
                errors.append(told)
            else:
                report(told)
        thread.join()
    if "error" in ended:
        raise (errors or [ended["error"]])[0] from ended["error"]
    result: dict[str, Any] = ended["results"][0]
    return result


def _process(
    work: Callable[..., dict[str, Any]],
    arguments: tuple[Any, ...],
    device: str,
    metrics: Any,
    stop: Any,
) -> dict[str, Any]:
    rank = Rank(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    if device == "cuda":
        torch.cuda.set_device(rank.index)
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        return work(rank, metrics.put, stop.is_set, *arguments)
    except Exception as error:
        with suppress(Exception):  # not each can be sent
            metrics.put(error)
        raise
    finally:
        dist.destroy_process_group()
