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

from sret_search.errors import reason
from sret_search.training.data.errors import DataError
from sret_search.training.data.images import Images, Joined, decode
from sret_search.training.vision import transforms

_SHOWN = 0.875  # of the shorter side, in evaluation
_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as everybody takes them
_STD = (0.229, 0.224, 0.225)
_Key = tuple[int, int]  # position in the epoch, number of the image


def data_workers() -> int:
    """Processes that decode images beside the training process."""
    return max(1, torch.get_num_threads())


def no_workers() -> str | None:
    """Reason why this machine cannot run worker processes; None if it can. Their queues need
    semaphores, which lie in /dev/shm."""
    try:
        multiprocessing.Lock()
    except (OSError, ImportError) as error:
        return reason(error)
    return None


@dataclass(frozen=True, eq=False)
class StreamPart:
    """A part whose images are read and resized each time they are seen.

    Attributes:
        images: images of all parts.
        index: numbers of the images in this part, (I,).
        labels: classes, (I,).
        image_size: side in pixels, after cropping.
        mode: "RGB" or "L".
        device: device of the batches.
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
        """The part with all images."""
        return cls(images, np.arange(len(labels)), labels, image_size, mode)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def in_channels(self) -> int:
        return 1 if self.mode == "L" else 3

    def take(self, index: NDArray[np.int64]) -> StreamPart:
        """The part with the images at `index`."""
        return replace(self, index=self.index[index], labels=self.labels[torch.from_numpy(index)])

    def joined(self, part: StreamPart) -> StreamPart:
        """The images of this part and another part."""
        images, more = self.images, part.index
        if part.images is not images:
            images = Joined(images, int(self.index.max()) + 1, part.images)
            more = more + images.first_count
        return replace(
            self,
            images=images,
            index=np.concatenate([self.index, more]),
            labels=torch.cat([self.labels, part.labels]),
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
        """Batches as in `Part.batches`. Without `crop`, the middle of each image."""
        loader = DataLoader(
            _Decoder(self.images, self.mode, self.image_size, crop, seed),
            batch_sampler=self._keys(batches, start),
            collate_fn=_as_it_is,
            num_workers=data_workers() if no_workers() is None else 0,
            pin_memory=self.device.startswith("cuda"),
            generator=torch.Generator(),  # otherwise it draws from the training's generator
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
        """Mean and standard deviation of each channel of ImageNet; their mean over channels for
        grey."""
        if self.mode == "L":
            return (float(np.mean(_MEAN)),), (float(np.mean(_STD)),)
        return _MEAN, _STD


@dataclass(frozen=True, eq=False)
class _Decoded:
    """Images (B, C, S, S) as they leave a worker, as an array through its pipe.

    A tensor would go through shared memory. A container has 64 MB of it, and a worker waits for
    ever if it is full.
    """

    pixels: NDArray[np.uint8]

    def tensor(self) -> Tensor:
        return torch.from_numpy(self.pixels)

    def pin_memory(self) -> Tensor:
        """Called by the loader if batches go to a GPU."""
        return self.tensor().pin_memory()


@dataclass(frozen=True, eq=False)
class _Decoder(Dataset[Tensor]):
    """Code of a worker: it decodes whole batches, with a separate seed for each crop."""

    images: Images
    mode: str
    size: int
    crop: tuple[float, float] | None
    seed: int

    def __getitems__(self, keys: list[_Key]) -> _Decoded | DataError:
        # Returned, not raised: the message of an error raised in a worker is its traceback.
        try:
            # Without workers this is the training process, whose generator must stay as it is.
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
