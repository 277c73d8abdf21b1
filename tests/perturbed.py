"""Models and images for tests of what holds whatever the weights are."""

import torch
from torch import Tensor

from sret_search.architecture import Architecture
from sret_search.model import SReT


def perturbed(a: Architecture, seed: int = 0, **options: int) -> SReT:
    """A model in float64 whose weights are all far from their special initial values."""
    torch.manual_seed(seed)
    model = SReT(a, **options).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def images_of(a: Architecture, count: int = 3) -> Tensor:
    """The same random images at each call, in float64."""
    shape = (count, a.in_channels, a.image_size, a.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
