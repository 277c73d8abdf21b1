"""Images that worker processes decode while the model trains."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sret_search.training.data.errors import DataError, reason
from sret_search.training.data.images import Images, Joined, decode
from sret_search.training.vision import transforms

_SHOWN = 0.875  # of the shorter side, in evaluation
_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as everybody takes them
_STD = (0.229, 0.224, 0.225)
_Key = tuple[int, int]  # position in the epoch, number of the image


def data_workers() -> int:
    """Processes that decode images beside the one that trains."""
    return max(1, torch.get_num_threads())


def no_workers() -> str | None:
    """Why this machine has no processes that decode images; None where it has. Their queues need
    semaphores, which lie in /dev/shm."""
    try:
        multiprocessing.Lock()
    except (OSError, ImportError) as error:
        return reason(error)
    return None


@dataclass(frozen=True, eq=False)
class StreamPart:
    """A part whose images are read and resized each time that they are seen.

    Attributes:
        images: those of all parts.
        index: (I,), which of them are in this part.
        labels: (I,).
        image_size: pixels a side after cropping.
        mode: "RGB" or "L".
        device: where batches are sent.
    """

    images: Images
    index: NDArray[np.int64]
    labels: Tensor
    image_size: int
    mode: str
    device: str = "cpu"
    cropped: ClassVar[bool] = True

    @classmethod
    def whole(cls, images: Images, labels: Tensor, image_size: int, mode: str) -> StreamPart:
        """The part of all images."""
        return cls(images, np.arange(len(labels)), labels, image_size, mode)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def in_channels(self) -> int:
        return 1 if self.mode == "L" else 3

    def take(self, index: NDArray[np.int64]) -> StreamPart:
        """The part of some of the images."""
        return replace(self, index=self.index[index], labels=self.labels[torch.from_numpy(index)])

    def joined(self, other: StreamPart) -> StreamPart:
        """The images of both parts."""
        images, more = self.images, other.index
        if other.images is not images:
            images = Joined(images, int(self.index.max()) + 1, other.images)
            more = more + images.first_count
        return replace(
            self,
            images=images,
            index=np.concatenate([self.index, more]),
            labels=torch.cat([self.labels, other.labels]),
        )

    def to(self, device: str) -> StreamPart:
        return replace(self, device=device)

    def batches(
        self,
        batches: Sequence[Tensor],
        crop: tuple[float, float] | None = None,
        seed: int = 0,
        start: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Part.batches`; without `crop`, the middle of each image."""
        loader = DataLoader(
            _Decoder(self.images, self.mode, self.image_size, crop, seed),
            batch_sampler=self._keys(batches, start),
            collate_fn=_as_it_is,
            num_workers=data_workers() if no_workers() is None else 0,
            pin_memory=self.device.startswith("cuda"),
            generator=torch.Generator(),  # or it draws from the one that training draws from
        )
        for batch, decoded in zip(batches, loader, strict=True):
            if isinstance(decoded, DataError):
                raise decoded
            images = decoded.tensor() if isinstance(decoded, _Decoded) else decoded
            labels = self.labels[batch.cpu()]
            yield images.to(self.device, non_blocking=True), labels.to(self.device)

    def _keys(self, batches: Sequence[Tensor], start: int) -> Iterator[list[_Key]]:
        for batch in batches:
            yield list(enumerate(self.index[batch.cpu().numpy()].tolist(), start))
            start += len(batch)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """ImageNet's mean and standard deviation of each channel; of all channels, for grey."""
        if self.mode == "L":
            return (float(np.mean(_MEAN)),), (float(np.mean(_STD)),)
        return _MEAN, _STD


@dataclass(frozen=True, eq=False)
class _Decoded:
    """Images (B, C, S, S) as they leave a worker: an array goes through its pipe. A tensor would go
    through shared memory, of which a container has 64 MB, and wait for ever where that is full."""

    pixels: NDArray[np.uint8]

    def tensor(self) -> Tensor:
        return torch.from_numpy(self.pixels)

    def pin_memory(self) -> Tensor:
        """Called by the loader where batches go to a GPU."""
        return self.tensor().pin_memory()


@dataclass(frozen=True, eq=False)
class _Decoder(Dataset[Tensor]):
    """What runs in a worker: whole batches, each crop drawn from a seed of its own."""

    images: Images
    mode: str
    size: int
    crop: tuple[float, float] | None
    seed: int

    def __getitems__(self, keys: list[_Key]) -> _Decoded | DataError:
        # Returned, not raised: what a worker raises arrives with its traceback as its message.
        try:
            # Without workers this is the process that trains, whose generator stays as it is.
            with torch.random.fork_rng(devices=[]):
                return _Decoded(np.stack([self[key].numpy() for key in keys]))
        except DataError as error:
            return error

    def __getitem__(self, key: _Key) -> Tensor:
        position, number = key
        image = decode(self.images, number, self.mode)
        if self.crop is not None:
            state = np.random.SeedSequence((self.seed, position)).generate_state(1, np.uint64)
            torch.default_generator.manual_seed(int(state[0]))
            image = transforms.RandomResizedCrop(self.size, scale=self.crop)(image)
        else:
            bicubic = transforms.InterpolationMode.BICUBIC
            image = transforms.functional.resize(
                image, [round(self.size / _SHOWN)], interpolation=bicubic, antialias=True
            )
            image = transforms.functional.center_crop(image, [self.size])
        pixels: Tensor = transforms.functional.pil_to_tensor(image)
        return pixels


def _as_it_is(batch: Any) -> Any:
    return batch
