"""Table of the named architectures: the published SReT, routes to 1000 executions, small ones.

Widths, heads, blocks and groups are those of the official constructors (szq0214/SReT, November
2021). The numbers of parameters and multiply-adds agree to the last digit. The published top-1
accuracies are in the README of the same repository.
"""

from __future__ import annotations

from dataclasses import replace

from sret_search.architecture import NLL, Architecture, Relax, Residual, Stage

_SLICED = ((8, 2), (4, 1), (1, 1))
_WHOLE = ((1,), (1,), (1,))
_RESOLUTIONS = (384, 512)
_UNIQUE = (2, 5, 3)


def _pyramid(
    width: int,
    heads: int,
    mlp_ratio: float,
    loops: tuple[int, int, int],
    groups: tuple[tuple[int, ...], ...],
) -> tuple[Stage, ...]:
    return tuple(
        Stage(width << i, heads << i, _UNIQUE[i], loops[i], groups[i], mlp_ratio) for i in range(3)
    )


def _published(
    width: int,
    heads: int,
    mlp_ratio: float,
    nll_ratio: float,
    drop_path: float,
    groups: tuple[tuple[int, ...], ...],
) -> Architecture:
    return Architecture(
        image_size=224, in_channels=3, classes=1000, stem_strides=(2, 2, 2),
        stages=_pyramid(width, heads, mlp_ratio, (2, 2, 2), groups),
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
    for _slicing in (_name, f"{_name}_unsliced"):
        for _pixels in _RESOLUTIONS:
            VARIANTS[f"{_slicing}_{_pixels}"] = replace(VARIANTS[_slicing], image_size=_pixels)
VARIANTS["sret_lt_16_14"] = _published(*_SIZES["sret_lt"], ((16, 1), (14, 1), (1, 1)))


def _thousand(
    nll: NLL,
    relax: Relax | None = None,
    width: int = 126,
    heads: int = 3,
    mlp_ratio: float = 3.0,
    loops: tuple[int, int, int] = (100, 100, 100),
) -> Architecture:
    """A network for the claim of the paper: 1000 shared layers in 13 to 15 million parameters.

    The published code has an NLL for each execution. At these widths it would need 458 million
    parameters.
    """
    return Architecture(
        image_size=224, in_channels=3, classes=1000, stem_strides=(2, 2, 2),
        stages=_pyramid(width, heads, mlp_ratio, loops, _SLICED),
        nll=nll, residual=Residual("scaled"), relax=relax or Relax(),
        permutation="stride", drop_path=0.2,
    )  # fmt: skip


VARIANTS |= {
    # The NLL is shared or left out, at the widths of SReT-S.
    "sret_1000_nll_block": _thousand(NLL("block", ratio=1.0)),
    "sret_1000_nll_stage": _thousand(NLL("stage", ratio=2.0)),
    "sret_1000_nll_rank": _thousand(NLL("execution", rank=3)),
    "sret_1000_norm_gain": _thousand(NLL("none"), Relax(norm=True, gain=True)),
    # Each execution has an NLL, in a narrower network.
    "sret_1000_narrow": _thousand(NLL("execution"), width=30, heads=1, mlp_ratio=3.6),
    # Attention, MLP and NLL count as a layer each: 335 executions, 1005 sub-layers.
    "sret_1000_sub_layers": _thousand(
        NLL("execution"), width=48, heads=2, mlp_ratio=3.6, loops=(34, 33, 34)
    ),
}

# DeiT-Ti (Touvron et al., 2012.12877) with pooled tokens in place of a class token.
VARIANTS["deit_ti"] = Architecture(
    image_size=224, in_channels=3, classes=1000, stem="patch", stem_strides=(16,),
    stages=(Stage(width=192, heads=3, unique=12),),
    nll=NLL("none"), residual=Residual("scaled", p=0.0, q=0.0), drop_path=0.1,
)  # fmt: skip

# For 8×8 images. It trains in seconds.
VARIANTS["sret_digits"] = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(width=32, heads=1, unique=4, loops=5, mlp_ratio=2.0),),
    nll=NLL("none"), residual=Residual("scaled"),
)  # fmt: skip
