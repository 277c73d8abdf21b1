"""RandAugment of a batch: two random operations for each image (Cubuk et al., 1909.13719).

Shapes: B images, C channels, S side in pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sret_search.training.vision import transforms


class RandAugment:
    """torchvision's `transforms.v2.RandAugment`, drawn for each image of a batch.

    Each operation runs once, on all images that drew it, so the number of calls does not grow with
    the batch. The operations have no public name in torchvision. The private names used here are
    the parts of its public policies.

    Attributes:
        operations: the different operations as (name, magnitude). An operation with both signs
            occurs twice.
    """

    def __init__(self, magnitude: int, size: int) -> None:
        self._policy = transforms.RandAugment(magnitude=magnitude)
        both_signs = []
        for name, (magnitudes, signed) in self._policy._AUGMENTATION_SPACE.items():
            steps = magnitudes(self._policy.num_magnitude_bins, size, size)
            value = 0.0 if steps is None else float(steps[magnitude])
            both_signs += [(name, value), (name, -value if signed else value)]
        self.operations: list[tuple[str, float]] = list(dict.fromkeys(both_signs))
        self._draws_N = torch.tensor([self.operations.index(operation) for operation in both_signs])

    def __call__(self, images_BCSS: Tensor) -> Tensor:
        """Change images, uint8 (B, C, S, S), with 1 or 3 channels and of the size given at
        construction."""
        for _ in range(self._policy.num_ops):
            images_BCSS = self.apply(images_BCSS, self.draw(len(images_BCSS)))
        return images_BCSS

    def draw(self, images: int) -> Tensor:
        """Index of an operation for each image (B,). Names, then signs, are equally likely."""
        return self._draws_N[torch.randint(len(self._draws_N), (images,))]

    def apply(self, images_BCSS: Tensor, operation_B: Tensor) -> Tensor:
        """Change each image by the operation at its index in `operations`."""
        device = images_BCSS.device
        order_B = operation_B.argsort(stable=True)
        sorted_BCSS = images_BCSS.index_select(0, order_B.to(device, non_blocking=True))
        counts = operation_B.bincount(minlength=len(self.operations)).tolist()
        changed = [
            self._policy._apply_image_or_video_transform(
                part_bCSS, *operation, self._policy.interpolation, self._policy._fill
            )
            for part_bCSS, operation in zip(sorted_BCSS.split(counts), self.operations, strict=True)
            if len(part_bCSS)
        ]
        back_B = order_B.argsort().to(device, non_blocking=True)
        return torch.cat(changed).index_select(0, back_B)
