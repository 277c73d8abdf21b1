"""Exchange between the loops of a stage: its input, the index of a loop, copies of the state.

Shapes: B images, N tokens, D width, K streams, F sinusoids.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sret_search.architecture import Loop
from sret_search.architecture.parts import FILM_FEATURES


class AddInput(nn.Module):
    """Injection "add": z + e, with the state z and the stage's input e."""

    def prepare(self, input_BND: Tensor) -> Tensor:
        """The part of the injection that all loops share."""
        return input_BND

    def forward(self, x_BND: Tensor, prepared_BND: Tensor) -> Tensor:
        return x_BND + prepared_BND


class LinearInjection(nn.Module):
    """Injection "linear": z + e + W·[z, e], where W is 0 at first (2502.05171, §3.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.state_DD = nn.Parameter(torch.zeros(width, width))
        self.input_DD = nn.Parameter(torch.zeros(width, width))

    def prepare(self, input_BND: Tensor) -> Tensor:
        """The part of the injection that all loops share."""
        return input_BND + F.linear(input_BND, self.input_DD)

    def forward(self, x_BND: Tensor, prepared_BND: Tensor) -> Tensor:
        return x_BND + F.linear(x_BND, self.state_DD) + prepared_BND


class GatedInjection(nn.Module):
    """Injection "gate": a·z + b·e, with a = exp(-exp(rate)) between 0 and 1 (2604.12946)."""

    def __init__(self, width: int, loops: int) -> None:
        super().__init__()
        halving = math.log(2) / loops
        self.rate_D = nn.Parameter(torch.full((width,), math.log(halving)))
        self.input_D = nn.Parameter(torch.full((width,), -math.expm1(-halving)))

    def prepare(self, input_BND: Tensor) -> Tensor:
        """The part of the injection that all loops share."""
        return input_BND * self.input_D

    def forward(self, x_BND: Tensor, prepared_BND: Tensor) -> Tensor:
        return torch.addcmul(prepared_BND, x_BND, self.rate_D.exp().neg().exp())


Injector = AddInput | LinearInjection | GatedInjection


def injector(loop: Loop, width: int, loops: int) -> Injector | None:
    """The module that injects the stage's input; None if nothing is injected.

    Args:
        loops: largest number of loops of the stage.
    """
    if loops == 1 or loop.injection == "none":
        return None
    if loop.injection == "add":
        return AddInput()
    return LinearInjection(width) if loop.injection == "linear" else GatedInjection(width, loops)


class Streams(nn.Module):
    """Copies of the state: static hyper-connections (2409.19606, §2).

    The matrix that mixes them is stored as its difference from the identity. The copies keep the
    precision of the state: sums of 1000 executions in bfloat16 would lose the last ones.
    """

    def __init__(self, streams: int) -> None:
        super().__init__()
        self.read_K = nn.Parameter(torch.eye(streams)[0].clone())
        # Streams that all took the same changes would stay equal for ever.
        self.write_K = nn.Parameter(0.5 ** torch.arange(float(streams)))
        self.mix_KK = nn.Parameter(torch.zeros(streams, streams))

    def split(self, x_BND: Tensor) -> Tensor:
        """Copy the state: (B, N, D) → (K, B, N, D)."""
        return x_BND.expand(len(self.read_K), *x_BND.shape)

    def read(self, x_KBND: Tensor) -> Tensor:
        """The input of an execution: (K, B, N, D) → (B, N, D)."""
        with torch.autocast(x_KBND.device.type, enabled=False):
            return torch.mm(self.read_K[None], x_KBND.flatten(1)).view(x_KBND.shape[1:])

    def read_pooled(self, x_KBD: Tensor) -> Tensor:
        """The mean token of the state: (K, B, D) → (B, D)."""
        # Not a matrix product: it costs no more than the mean over the tokens.
        return (x_KBD * self.read_K[:, None, None]).sum(0)

    def write(self, x_KBND: Tensor, change_BND: Tensor) -> Tensor:
        """Mix the streams and add the change of an execution: (K, B, N, D) → (K, B, N, D)."""
        x_KX = x_KBND.flatten(1)
        with torch.autocast(x_KBND.device.type, enabled=False):
            mixed_KBND = torch.addmm(x_KX, self.mix_KK, x_KX).view(x_KBND.shape)
        return torch.addcmul(mixed_KBND, change_BND, self.write_K.view(-1, 1, 1, 1))


class Film(nn.Module):
    """Scale and shift of the two norms of a block, from sinusoids of the loop's index.

    FiLM (Perez et al., 1709.07871), with the index as the condition.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight_4DF = nn.Parameter(torch.zeros(4, width, FILM_FEATURES))

    def at(self, loop: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scale and shift of the first norm, then of the second, each (D,). 0 leaves it alone."""
        features_F = sinusoids(loop, FILM_FEATURES).to(self.weight_4DF)
        # Not a matrix product: it does not depend on the image, and is not counted as one.
        scale1_D, shift1_D, scale2_D, shift2_D = (self.weight_4DF * features_F).sum(-1).unbind(0)
        return scale1_D, shift1_D, scale2_D, shift2_D


def sinusoids(index: int, width: int) -> Tensor:
    """Sines and cosines of an index, (width,), with wavelengths from 2π to 20,000π.

    The sinusoidal embedding of Vaswani et al., 1706.03762, §3.5: the first half are sines.
    """
    half = -(-width // 2)
    rate = 10_000 ** (-torch.arange(half, dtype=torch.float64) / half)
    return torch.cat([(index * rate).sin(), (index * rate).cos()])[:width].float()
