"""Images that are held in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sret_search.training.vision import transforms

_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class MemoryPart:
    """A part whose images are in memory.

    `index` picks the images of a batch. A copied part could not be shared by the processes that map
    the same file.

    Attributes:
        images: images of all parts, (N, C, S, S), uint8 or float32.
        index: numbers of the images in this part, (I,).
        labels: classes, (I,).
        is_resized: whether pixels were computed. Their last bits may then depend on the machine.
    """

    images: Tensor
    index: Tensor
    labels: Tensor
    is_resized: bool = False
    cropped: ClassVar[bool] = False

    @classmethod
    def whole(cls, images: Tensor, labels: Tensor, is_resized: bool = False) -> MemoryPart:
        """The part with all images."""
        return cls(images, torch.arange(len(labels)), labels, is_resized)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> int:
        """Side in pixels."""
        return self.images.shape[-1]

    @property
    def in_channels(self) -> int:
        return self.images.shape[1]

    def take(self, index: NDArray[np.int64]) -> MemoryPart:
        """The part with the images at `index`."""
        taken = torch.from_numpy(index)
        return replace(self, index=self.index[taken], labels=self.labels[taken])

    def joined(self, part: MemoryPart) -> MemoryPart:
        """The images of this part and another part of the same data set."""
        assert self.images is part.images, "parts in memory are cut from one set"
        index, labels = torch.cat([self.index, part.index]), torch.cat([self.labels, part.labels])
        return replace(self, index=index, labels=labels)

    def to(self, device: str) -> MemoryPart:
        if torch.device(device) == self.images.device:
            return self
        images = self.images[self.index].to(device)
        return MemoryPart(images, torch.arange(len(self), device=device), self.labels)

    def batches(
        self,
        batches: Sequence[Tensor],
        crop: tuple[float, float] | None = None,
        seed: int = 0,
        start: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches as in `Part.batches`. `crop` has no effect: images come whole."""
        device = self.images.device
        for batch in batches:
            images = self.images[self.index[batch.to(device)]]
            yield images, self.labels[batch.cpu()].to(device, non_blocking=True)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, with values scaled to 0 to 1."""
        if self.images.is_floating_point():
            images = self.images[self.index]
            return tuple(images.mean((0, 2, 3)).tolist()), tuple(images.std((0, 2, 3)).tolist())
        # Counted, not converted: as floats the images would take four times their memory.
        counts = torch.zeros(self.images.shape[1], 256, dtype=torch.float64)
        for index in self.index.split(_CHUNK):
            for count, channel in zip(counts, self.images[index].unbind(1), strict=True):
                count += torch.bincount(channel.flatten(), minlength=256)
        values = torch.arange(256, dtype=torch.float64) / 255
        pixels = counts.sum(1)
        mean = counts @ values / pixels
        variance = (counts * (values - mean[:, None]) ** 2).sum(1) / (pixels - 1)
        return tuple(mean.tolist()), tuple(variance.sqrt().tolist())


def resized(images: Tensor, size: int) -> Tensor:
    """Images (N, C, S, S) resized to (N, C, size, size)."""
    resize = transforms.functional.resize
    return torch.cat([resize(c, [size, size], antialias=True) for c in images.split(_CHUNK)])
