"""Named architectures: the published SReT and small ones, as one table.

Widths, heads, blocks, groups: the official constructors (szq0214/SReT, November 2021), whose
parameters and multiply-adds these reproduce to the last digit. Published top-1 accuracies:
README of the same repository.
"""

from __future__ import annotations

from dataclasses import replace

from sret_search.architecture import NLL, Architecture, Residual, Stage

_SLICED = ((8, 2), (4, 1), (1, 1))
_WHOLE = ((1,), (1,), (1,))
_RESOLUTIONS = (384, 512)


def _published(
    width: int,
    heads: int,
    mlp_ratio: float,
    nll_ratio: float,
    drop_path: float,
    groups: tuple[tuple[int, ...], ...],
) -> Architecture:
    unique = (2, 5, 3)
    stages = tuple(
        Stage(width << i, heads << i, unique[i], 2, groups[i], mlp_ratio) for i in range(3)
    )
    return Architecture(
        image_size=224, in_channels=3, classes=1000, stem_strides=(2, 2, 2), stages=stages,
        nll=NLL("execution", nll_ratio), residual=Residual("lrc"),
        permutation="official" if groups != _WHOLE else "none", drop_path=drop_path,
    )  # fmt: skip


_SIZES = {
    #          width heads mlp  nll  drop
    "sret_t":  (64, 2, 3.6, 1.0, 0.1),
    "sret_lt": (64, 2, 4.0, 1.0, 0.1),
    "sret_s":  (126, 3, 3.0, 2.0, 0.2),
}  # fmt: skip

VARIANTS: dict[str, Architecture] = {}
for _name, _size in _SIZES.items():
    VARIANTS[_name] = _published(*_size, _SLICED)
    VARIANTS[f"{_name}_unsliced"] = _published(*_size, _WHOLE)
    for _pixels in _RESOLUTIONS:
        VARIANTS[f"{_name}_unsliced_{_pixels}"] = replace(
            VARIANTS[f"{_name}_unsliced"], image_size=_pixels
        )
VARIANTS["sret_lt_16_14"] = _published(*_SIZES["sret_lt"], ((16, 1), (14, 1), (1, 1)))

# For 8×8 images; small enough to train in seconds.
VARIANTS["sret_digits"] = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=32, heads=1, unique=4, loops=5, mlp_ratio=2.0),),
    nll=NLL("none"), residual=Residual("scaled"),
)  # fmt: skip
