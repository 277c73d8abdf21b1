"""Interface of a data set's parts for training and evaluation.

Shapes: I images, B images of a batch, C channels, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, Self

from torch import Tensor


class Part(Protocol):
    """Images and their labels, in memory or streamed from their files."""

    @property
    def labels(self) -> Tensor:
        """Classes (I,), int64, on the CPU."""

    @property
    def cropped(self) -> bool:
        """Whether `batches` crops. Parts in memory leave cropping to the caller."""

    def __len__(self) -> int: ...

    def joined(self, part: Self) -> Self:
        """The images of this part and another part of the same kind."""

    def to(self, device: str) -> Part:
        """The same part, with its batches on a device."""

    def batches(
        self,
        batches: Sequence[Tensor],
        crop: tuple[float, float] | None = None,
        seed: int = 0,
        start: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels for each tensor of indices, in order.

        Args:
            batches: indices (B,) into this part, a tensor for each batch.
            crop: smallest and largest area of a random crop, as fractions of the image.
            seed: seed of the crops. Each depends only on it and on the image's position.
            start: position of the first image, for a training that resumes within an epoch.

        Yields:
            Images (B, C, S, S), uint8, or float32 within 0 to 1, not normalised; labels (B,).

        Raises:
            DataError: an image cannot be read.
        """
