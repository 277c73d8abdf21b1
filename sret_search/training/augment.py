"""Random changes of training images, a whole batch at a time.

Shapes: B images, C channels, S side in pixels, K classes. Every image has its own parameters. They
are drawn on the CPU for every device, so a seed means the same on each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from sret_search.job import Augment
from sret_search.training.randaugment import RandAugment
from sret_search.training.vision import transforms

_CROP_RATIO = (3 / 4, 4 / 3)
_ERASED_AREA = (0.02, 1 / 3)
_ERASED_RATIO = (1 / 3.3, 1 / 0.3)  # torchvision's 0.3 to 3.3 is height to width
_DEALT = 8  # images whose repeats alternate; few, so that a batch holds them all


_randaugment = lru_cache(RandAugment)


class Augmenter:
    """Random changes of a batch on its device, drawn for each image from torch's global generator.

    Args:
        augment: the changes. Its `repeats` is for `epoch_order`.
        mean, std: mean and standard deviation of each channel of raw images, 0 to 1.
        classes: K.
        crops: whether `augment.crop` is applied here; False if the loader crops.
        label_smoothing: probability mass spread over all classes in soft targets.
    """

    def __init__(
        self,
        augment: Augment,
        mean: Sequence[float],
        std: Sequence[float],
        classes: int,
        *,
        crops: bool,
        label_smoothing: float = 0.0,
    ) -> None:
        self.augment = augment
        self.mean, self.std = tuple(mean), tuple(std)
        self.classes, self.label_smoothing = classes, label_smoothing
        self.crop = augment.crop if crops else None
        self.moves = self.crop is not None or (
            (augment.rotate, augment.shear, augment.translate, augment.zoom) != (0, 0, 0, 1)
        )
        self.mixers = [
            mixer(alpha=alpha)
            for mixer, alpha in (
                (transforms.MixUp, augment.mixup),
                (transforms.CutMix, augment.cutmix),
            )
            if alpha > 0
        ]

    def __call__(self, images_BCSS: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
        """Change, normalise and mix a batch.

        Args:
            images_BCSS: raw images, as bytes or as float32 from 0 to 1.
            labels_B: classes, int64.

        Returns:
            float32 images (B, C, S, S) and the labels (B,). With mixup or cutmix, soft targets (B,
            K) in place of labels. They include the label smoothing, as in timm.
        """
        changed_BCSS = self._change(images_BCSS.contiguous())
        images_BCSS = normalize(changed_BCSS, self.mean, self.std)
        if self.augment.erasing:
            images_BCSS = self._erase(images_BCSS)
        if not self.mixers:
            return images_BCSS, labels_B
        return self._mix(images_BCSS, labels_B)

    def _change(self, images_BCSS: Tensor) -> Tensor:
        """Apply all changes of raw images."""
        augment, B = self.augment, len(images_BCSS)
        flips_B = torch.rand(B) < 0.5 if augment.flip else torch.zeros(B, dtype=torch.bool)
        if self.moves:
            images_BCSS = self._move(to_float(images_BCSS), flips_B)
        elif augment.flip:
            flips_B111 = _like(flips_B.view(-1, 1, 1, 1), images_BCSS)
            images_BCSS = torch.where(flips_B111, images_BCSS.flip(-1), images_BCSS)
        if augment.color_jitter:
            strength = augment.color_jitter
            factors_3B = torch.empty(3, B).uniform_(max(0.0, 1 - strength), 1 + strength)
            images_BCSS = adjust_colors(to_float(images_BCSS), factors_3B)
        if augment.randaugment is not None:
            policy = _randaugment(augment.randaugment, images_BCSS.shape[-1])
            images_BCSS = policy(transforms.functional.to_dtype(images_BCSS, torch.uint8, True))
        return images_BCSS

    def _move(self, images_BCSS: Tensor, flips_B: Tensor) -> Tensor:
        augment, B, S = self.augment, len(images_BCSS), images_BCSS.shape[-1]
        boxes_4B = torch.tensor([0.0, 0.0, S, S]).view(4, 1).expand(4, B)
        if self.crop is not None:
            boxes_4B = draw_boxes(B, S, self.crop, _CROP_RATIO)
        signs_5B = torch.empty(5, B).uniform_(-1, 1)
        angle_B = signs_5B[0] * math.radians(augment.rotate)
        shear_B = signs_5B[1] * math.radians(augment.shear)
        zoom_B = torch.exp(math.log(augment.zoom) * signs_5B[2])
        shift_2B = (signs_5B[3:] * augment.translate * S).round()
        inverse_B22 = inverse_matrices(angle_B, shear_B, zoom_B)
        return resample(images_BCSS, boxes_4B, inverse_B22, shift_2B, flips_B)

    def _erase(self, images_BCSS: Tensor) -> Tensor:
        B, C, S, _ = images_BCSS.shape
        boxes_4B = draw_boxes(B, S, _ERASED_AREA, _ERASED_RATIO)
        boxes_4B *= torch.rand(B) < self.augment.erasing
        noise_N = torch.randn(C * int((boxes_4B[2] * boxes_4B[3]).sum()))
        return erase(images_BCSS, boxes_4B, noise_N)

    def _mix(self, images_BCSS: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
        targets_BK = F.one_hot(labels_B, self.classes).to(images_BCSS.dtype)
        targets_BK.mul_(1 - self.label_smoothing).add_(self.label_smoothing / self.classes)
        if len(labels_B) == 1:
            return images_BCSS, targets_BK
        chosen = int(torch.randint(len(self.mixers), ()))
        mixed: tuple[Tensor, Tensor] = self.mixers[chosen](images_BCSS, targets_BK)
        return mixed


def _like(parameters: Tensor, images: Tensor) -> Tensor:
    """Parameters on the images' device. The copy does not wait for the device."""
    return parameters.to(images.device, non_blocking=True)


def to_float(images_BCSS: Tensor) -> Tensor:
    """Raw images, bytes or float32, as float32 from 0 to 1."""
    images: Tensor = transforms.functional.to_dtype(images_BCSS, torch.float32, scale=True)
    return images


def normalize(images_BCSS: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Raw images, bytes or float32 from 0 to 1, normalised by mean and standard deviation of each
    channel.

    The result is float32, the same to the last bit as `transforms.v2.functional.normalize`.
    """
    mean_C11, std_C11 = _like(torch.tensor([mean, std]), images_BCSS).view(2, -1, 1, 1).unbind()
    return (to_float(images_BCSS) - mean_C11).div_(std_C11)


def draw_boxes(
    images: int, size: int, area: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Random boxes within an image, as `transforms.v2.RandomResizedCrop` draws them.

    Only ratios that fit are drawn, so areas stay uniform and in their range. torchvision draws
    again if a box does not fit, and takes the whole image after ten draws.

    Args:
        images: B.
        size: S.
        area: smallest and largest area, as fractions of the image, uniform.
        ratio: smallest and largest width over height, log-uniform; 1 must lie between them.

    Returns:
        Left, top, width and height (4, B) in whole pixels.
    """
    area_B = torch.empty(images).uniform_(*area)
    low_B = area_B.log().clamp(min=math.log(ratio[0]))
    high_B = (-area_B.log()).clamp(max=math.log(ratio[1]))
    ratio_B = torch.lerp(low_B, high_B, torch.rand(images)).exp()
    sides_2B = size * torch.stack([area_B * ratio_B, area_B / ratio_B]).sqrt()
    sides_2B = sides_2B.round().clamp(1, size)
    corners_2B = (torch.rand(2, images) * (size - sides_2B + 1)).floor()
    return torch.cat([corners_2B, sides_2B])


def inverse_matrices(angle_B: Tensor, shear_B: Tensor, zoom_B: Tensor) -> Tensor:
    """Matrices (B, 2, 2) from a pixel to its source, relative to the centre.

    Images are sheared along x, turned (both in radians) and zoomed, as in
    `transforms.v2.functional.affine`.
    """
    cos_B, sin_B, tan_B = angle_B.cos(), angle_B.sin(), shear_B.tan()
    rows = [cos_B - sin_B * tan_B, cos_B * tan_B + sin_B, -sin_B, cos_B]
    inverse_BF = torch.stack(rows, dim=1) / zoom_B.unsqueeze(1)
    return inverse_BF.view(-1, 2, 2)


def resample(
    images_BCSS: Tensor, boxes_4B: Tensor, inverse_B22: Tensor, shift_2B: Tensor, flips_B: Tensor
) -> Tensor:
    """Move images, crop them, resize the crop to the whole image, and flip it, in a single bilinear
    step.

    A crop alone equals `transforms.v2.functional.resized_crop`, whose antialiasing has no effect on
    enlarged crops. An image that its zoom makes smaller is not antialiased.

    Args:
        images_BCSS: float32. Pixels outside are black.
        boxes_4B: left, top, width and height of the crops, in pixels.
        inverse_B22: result of `inverse_matrices`.
        shift_2B: shift to the right and down, in pixels, after turning.
        flips_B: mask of the images to flip, left to right.
    """
    S = images_BCSS.shape[-1]
    corners_2B1, sides_2B1 = boxes_4B.unsqueeze(-1).split(2)
    at_2BS = corners_2B1 + (torch.arange(S) + 0.5) * sides_2B1 / S - 0.5
    # Pixels around a crop must not bleed into it, nor black pixels into a crop at the image's edge.
    at_2BS = at_2BS.clamp(corners_2B1, corners_2B1 + sides_2B1 - 1)
    at_2BS = (at_2BS - shift_2B.unsqueeze(-1) - (S - 1) / 2) * (2 / S)
    x_BS, y_BS = at_2BS.unbind()
    x_BS = torch.where(flips_B.unsqueeze(-1), x_BS.flip(-1), x_BS)
    # Planes of coordinates, not pairs: broadcasting over pairs takes ten times as long.
    x_B2S = _like(x_BS.unsqueeze(1) * inverse_B22[:, :, :1], images_BCSS)
    y_B2S = _like(y_BS.unsqueeze(1) * inverse_B22[:, :, 1:], images_BCSS)
    grid_B2SS = x_B2S.unsqueeze(2) + y_B2S.unsqueeze(3)
    return F.grid_sample(images_BCSS, grid_B2SS.permute(0, 2, 3, 1), align_corners=False)


def adjust_colors(images_BCSS: Tensor, factors_3B: Tensor) -> Tensor:
    """Change brightness, then contrast, then saturation, each by its row of factors.

    The operations are `adjust_brightness`, `adjust_contrast` and `adjust_saturation` of
    `transforms.v2.functional`. Grey images have no saturation.
    """
    factors_3B111 = _like(factors_3B, images_BCSS).view(3, -1, 1, 1, 1)
    brightness_B111, contrast_B111, saturation_B111 = factors_3B111.unbind()
    images_BCSS = (images_BCSS * brightness_B111).clamp_(0, 1)
    mean_B111 = _grey(images_BCSS).mean((1, 2, 3), keepdim=True)
    images_BCSS = torch.lerp(mean_B111, images_BCSS, contrast_B111).clamp_(0, 1)
    if images_BCSS.shape[1] == 1:
        return images_BCSS
    return torch.lerp(_grey(images_BCSS), images_BCSS, saturation_B111).clamp_(0, 1)


def _grey(images_BCSS: Tensor) -> Tensor:
    grey: Tensor = transforms.functional.rgb_to_grayscale(images_BCSS)
    return grey


def erase(images_BCSS: Tensor, boxes_4B: Tensor, noise_N: Tensor) -> Tensor:
    """Fill boxes with noise, a value for each pixel and channel. A box without width is empty."""
    pixels_S = torch.arange(images_BCSS.shape[-1], device=images_BCSS.device)
    corners_2B1, sides_2B1 = _like(boxes_4B.unsqueeze(-1), images_BCSS).split(2)
    x_BS, y_BS = (pixels_S >= corners_2B1) & (pixels_S < corners_2B1 + sides_2B1)
    mask_B1SS = (x_BS.unsqueeze(1) & y_BS.unsqueeze(2)).unsqueeze(1)
    return images_BCSS.masked_scatter(mask_B1SS, _like(noise_N, images_BCSS))


def epoch_order(images: int, repeats: int, seed: int) -> Tensor:
    """Order of the images in an epoch, by their numbers (images,).

    With repeats, ceil(images / repeats) images occur `repeats` times each; the last of them may
    occur less often. As in the sampler of DeiT (Touvron et al., 2012.12877), repeats of an image
    stay together, so that they fall into the same batch (Hoffer et al., 1901.09335). They alternate
    with a few other images there, because mixup and cutmix mix neighbours.
    """
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    distinct = order[: math.ceil(images / repeats)]
    return torch.cat([few.repeat(repeats) for few in distinct.split(_DEALT)])[:images]
