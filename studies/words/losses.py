"""A loss that also asks each tile for the product of the letters up to it.

The product of a long word alone is a weak teacher: until a step is known, the label of a word of
eight letters is noise. Sequences are therefore labelled at each letter in work on such tasks (Liu
et al., 2023, 2210.10749; Merrill et al., 2024, 2404.08819). Evaluation reads the whole image alone.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from sret_search.model import SReT
from studies.words.pictures import GRID, GROUPS, TILE

_UNLABELLED = -100  # no label in `cross_entropy`


def every_place(model: SReT, images: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the word's product, plus that of the products up to each of its letters.

    The head reads the last tokens of each tile by itself, as it reads their mean for the image.

    Args:
        model: a network with a token for each tile.
        images: normalised images (B, 1, 18, 18) of words.
        targets: their products (B,).
    """
    for last_BDSS in model.feature_maps(images):
        tokens_BDSS = last_BDSS
    places = model.classify_pooled(tokens_BDSS.flatten(2).transpose(1, 2))
    whole = F.cross_entropy(model.classify(tokens_BDSS), targets)
    labels = products_up_to(images, places.shape[2])
    return whole + F.cross_entropy(places.flatten(0, 1), labels.flatten(), ignore_index=_UNLABELLED)


def products_up_to(images: Tensor, classes: int) -> Tensor:
    """Products (B, 9) of the letters up to each tile, read from images (B, 1, 18, 18). Tiles after
    the word's end have -100.

    Args:
        images: of any scale whose lit pixels, and no others, are above 0.
        classes: elements of the group, which tell the group.
    """
    then, pictures = (table.to(images.device) for table in _tables(classes))
    lit = (images > 0).view(len(images), GRID, TILE, GRID, TILE).transpose(2, 3)
    tiles = lit[..., : TILE - 1, : TILE - 1].reshape(len(images), GRID**2, -1).float()
    letters = (tiles @ pictures.T).argmax(2)
    products = [letters[:, 0]]
    for letter in letters.T[1:]:
        products.append(then[products[-1], letter])
    return torch.stack(products, 1).where(tiles.any(2), _UNLABELLED)


@cache
def _tables(classes: int) -> tuple[Tensor, Tensor]:
    """Products (G, G) and pixels (G, 25) of the group with so many elements."""
    group = next(made for made in (make() for make in GROUPS.values()) if len(made.then) == classes)
    pixels = torch.from_numpy(group.pictures).flatten(1).float()
    return torch.from_numpy(group.then), pixels
