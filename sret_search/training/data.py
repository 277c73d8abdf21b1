"""Data sets as three parts of images in memory.

Shapes: I images, C channels, S pixels a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sret_search.job import Data
from sret_search.training.vision import transforms


@dataclass(frozen=True, slots=True)
class Part:
    """Images (I, C, S, S), normalised, and their labels (I,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> Part:
        return Part(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a data set. Everything that chooses reads `val`; `test` is read once."""

    train: Part
    val: Part
    test: Part


@lru_cache(maxsize=2)
def load(data: Data) -> Split:
    """Load, shuffle by `data.split_seed`, cut, and normalise by the training part's statistics."""
    images, labels = {"digits": _digits}[data.name]()
    order = torch.from_numpy(np.random.default_rng(data.split_seed).permutation(len(labels)))
    train, val, test = order.split(data.sizes)
    seen = images[train]
    mean, std = seen.mean((0, 2, 3)).tolist(), seen.std((0, 2, 3)).tolist()
    images = transforms.functional.normalize(images, mean, std)
    return Split(*(Part(images[part], labels[part]) for part in (train, val, test)))


def _digits() -> tuple[Tensor, Tensor]:
    """The test part of the UCI Optical Recognition of Handwritten Digits data (Alpaydin, Kaynak)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) / 16
    return images, torch.from_numpy(digits.target).long()
