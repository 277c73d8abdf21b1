"""What training and evaluation see of a data set.

Shapes: I images, B images of a batch, C channels, S pixels a side.
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
        """Whether batches with `crop` come cropped; parts in memory leave that to the caller."""

    def __len__(self) -> int: ...

    def joined(self, other: Self) -> Self:
        """The images of both parts, which are of one kind."""

    def to(self, device: str) -> Part:
        """The same part, with its batches on a device."""

    def batches(
        self,
        batches: Sequence[Tensor],
        crop: tuple[float, float] | None = None,
        seed: int = 0,
        start: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """For each tensor of indices into this part, in order, its images and labels.

        Args:
            batches: indices (B,) into this part, one tensor a batch.
            crop: least and largest area of a random crop, as fractions of the image.
            seed: of the crops; each depends on it and on the image's position alone.
            start: position of the first image, where a training resumes within an epoch.

        Yields:
            Images (B, C, S, S), uint8, or float32 within 0 to 1, not normalised; labels (B,).

        Raises:
            DataError: an image cannot be read.
        """
