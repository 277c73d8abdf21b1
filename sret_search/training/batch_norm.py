"""Batch normalisation over the images of all processes that share a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

_alone = False
"""Whether processes compute totals apart, each of its own images."""


@contextmanager
def apart() -> Iterator[None]:
    """Let this process compute passes by itself in the block, without waiting for others."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


class _Total(torch.autograd.Function):
    """The sum over processes. A value enters the totals of all processes, so its gradients are
    summed too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        if not _alone:
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Tensor:
        return _total(slopes)


def _total(values: Tensor) -> Tensor:
    total: Tensor = _Total.apply(values)  # type: ignore[no-untyped-call]
    return total


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the images of all processes, on CPUs and GPUs."""

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> SharedBatchNorm:
        """The shared form of a layer, with the same parameters and buffers."""
        twin = cls(norm.num_features, norm.eps, norm.momentum)
        twin.load_state_dict(norm.state_dict(keep_vars=True), assign=True)
        return twin.train(norm.training)

    def forward(self, x_BDSS: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x_BDSS)
        # In float32 at least, since bfloat16 cannot even count to 257.
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
