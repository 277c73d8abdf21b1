"""The parts of an architecture: stages, and settings common to all stages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import Any, Literal

Stem = Literal["convolutions", "patch"]
Order = Literal["sequence", "cycle"]
Permutation = Literal["none", "stride", "official"]
NLLShare = Literal["none", "stage", "block", "execution"]
ResidualKind = Literal["lrc", "layerscale", "scaled"]
Norm = Literal["pre", "sandwich"]
Injection = Literal["none", "add", "linear", "gate"]
LoopEmbedding = Literal["none", "sinusoidal", "learned", "film"]
Readout = Literal["last", "mean", "weighted", "each"]

# Pydantic reads this to check a file. Building and training need no pydantic.
STRICT = {"extra": "forbid", "strict": True}

CACHED = 1 << 15
"""Number of parts for which rules and costs are cached. A space of a million candidates has
some thousands of parts."""


@lru_cache(maxsize=4096)
def sides(image_size: int, strides: tuple[int, ...], stages: int) -> tuple[int, ...]:
    """Side of each stage's square grid of tokens."""
    side = image_size
    for stride in strides:
        side = -(-side // stride)
    stage_sides = [side]
    for _ in range(stages - 1):
        stage_sides.append(-(-stage_sides[-1] // 2))
    return tuple(stage_sides)


def stem_channels(strides: tuple[int, ...], width: int) -> tuple[int, ...]:
    """Output channels of the stem's convolutions: half of the width, then the width."""
    last = len(strides) - 1
    return tuple(width // 2 if i == 0 and last > 0 else width for i in range(last + 1))


def hidden_of(width: int, ratio: float) -> int:
    """Hidden width of an MLP."""
    return int(ratio * width)


def as_floats(part: Any) -> None:
    """Convert the fractions of a part to float, in place: 1 and 1.0 are the same number."""
    for name in _fractions(part.__class__):
        value = getattr(part, name)
        if value is not None:
            object.__setattr__(part, name, float(value))


@cache
def _fractions(kind: Any) -> list[str]:
    """Fields of a dataclass that are fractions, by their annotations."""
    return [f.name for f in fields(kind) if f.type in ("float", "float | None")]


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one width at one resolution.

    Attributes:
        width: channels of a token (embed_dim). It must be a multiple of `heads`.
        heads: attention heads.
        unique: number of distinct blocks.
        loops: executions of each block: one number for all blocks, or a list with a number for
            each. A prelude and a coda are blocks that run once, as in [1, 6, 6, 1].
        groups: slice groups of self-attention, an entry for each loop. The last entry also
            serves all later loops. 1 is plain global attention.
        mlp_ratio: hidden width of a block's MLP divided by `width`. The hidden width is rounded
            down.
    """

    width: int
    heads: int
    unique: int = 1
    loops: int | tuple[int, ...] = 1
    groups: tuple[int, ...] = (1,)
    mlp_ratio: float = 4.0

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)

    @property
    def executions(self) -> int:
        if isinstance(self.loops, int):
            return self.unique * self.loops
        return sum(self.loops)

    @property
    def hidden(self) -> int:
        return hidden_of(self.width, self.mlp_ratio)

    def loops_of(self, block: int) -> int:
        """Executions of the block with this index."""
        return self.loops if isinstance(self.loops, int) else self.loops[block]

    @property
    def blocks_by_loops(self) -> dict[int, int]:
        """Number of blocks by their number of loops: {loops: blocks}."""
        if isinstance(self.loops, int):
            return {self.loops: self.unique}
        return Counter(self.loops)

    @property
    def most_loops(self) -> int:
        """Largest number of executions of a block."""
        return self.loops if isinstance(self.loops, int) else max(self.loops)

    def groups_at(self, loop: int) -> int:
        """Slice groups of the loop with this index (0 is the first)."""
        return self.groups[min(loop, len(self.groups) - 1)]


@dataclass(frozen=True, slots=True)
class NLL:
    """The non-linear projection layer after each execution: z + MLP(LN z) (paper §3.2).

    Attributes:
        share: one NLL for each "execution" (the paper), "block" or "stage". "none": no NLLs.
        ratio: hidden width divided by the stage's width.
        rank: a fixed hidden width, in place of `ratio`.
    """

    share: NLLShare = "execution"
    ratio: float = 1.0
    rank: int | None = None

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)

    def count(self, stage: Stage) -> int:
        """Distinct NLLs of a stage."""
        if self.share == "execution":
            return stage.executions
        return {"none": 0, "stage": 1, "block": stage.unique}[self.share]

    def hidden(self, width: int) -> int:
        """Hidden width in a stage of this width; 0 without an NLL."""
        if self.share == "none":
            return 0
        return hidden_of(width, self.ratio) if self.rank is None else self.rank


@dataclass(frozen=True, slots=True)
class Residual:
    """Residual scale: the weight of a branch when it is added to the skip path.

    Attributes:
        kind: "lrc": learnable scalars on skip and branch, initialised to 1 (the paper).
            "layerscale": a learnable gain for each channel of the branch, initialised to `init`.
            "scaled": the constant `lam` · loops^-`p` · unique^-`q` on the branch, with the loops
            of the block and the unique blocks of the network. p = q = 0 is the plain residual.
        init: initial gain of "layerscale".
        lam, p, q: factor and exponents of "scaled".
    """

    kind: ResidualKind = "lrc"
    init: float = 1e-2
    lam: float = 1.0
    p: float = 1.0
    q: float = 0.5

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        as_floats(self)

    def branch_scale(self, loops: float, unique: int) -> float:
        """Constant weight of a branch if `kind` is "scaled".

        Raises:
            OverflowError: a power is too large for a float.
        """
        return float(self.lam * loops**-self.p * unique**-self.q)


@dataclass(frozen=True, slots=True)
class Relax:
    """Weights that differ between loops of a block. A block that runs once has neither gains nor
    LoRA factors.

    Attributes:
        norm: each loop has separate layer norms.
        gain: each loop has a learnable scalar on each of its two branches, initialised to 1.
        lora: rank of the low-rank update that each loop adds to the block's four linear layers,
            as in relaxed recursive transformers (Bae et al., 2410.20672). No update without it.
        experts: number of MLPs in a block's bank. Each loop uses a convex mix of their weights,
            set by its position among the loops. The multiply-adds are those of one MLP.
    """

    norm: bool = False
    gain: bool = False
    lora: int | None = None
    experts: int = 1

    __pydantic_config__ = STRICT

    @property
    def per_loop(self) -> bool:
        """Whether some weights differ between loops."""
        return self.norm or self.gain or self.lora is not None


FILM_FEATURES = 16
"""Sinusoids of a loop's index from which "film" computes scales and shifts."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Exchange between the loops of a stage: the stage's input, the loop's index, copies of the
    state. A stage whose blocks run once has none of it.

    With z the state and e the stage's input:

    Attributes:
        injection: change of the state before each loop after the first. "add": z + e. "linear":
            z + e + W·[z, e] with one learnable matrix, 0 at first (the adapter of recurrent-depth
            transformers, Geiping et al., 2502.05171, §3.2, as a change of the sum). "gate":
            a·z + b·e with a learnable rate a for each channel, which cannot leave 0 to 1 (as in
            Parcae, 2604.12946). At first a halves the state over the loops, and b is 1 - a.
            In the order "cycle", a loop is a round over the blocks.
        embedding: the loop's index as an input of its block. "sinusoidal": a fixed vector is added
            to what both norms read, not to the state (Dehghani et al., 1807.03819, eq. 6).
            "learned": a vector for each loop, 0 at first. "film": scale and shift of both norms, a
            linear map of sinusoids of the index, 0 at first (Perez et al., 1709.07871).
        readout: state that the head reads in the last stage: of the "last" loop; the "mean" over
            the loops; a "weighted" mean with a learnable softmax; or "each", for a loss or an exit
            after each loop. The prediction of "each" is that of the last loop.
        streams: copies of the state. Each execution reads a learnable sum of them, adds its change
            to each with a learnable factor, and mixes them by a learnable matrix (static
            hyper-connections, Zhu et al., 2409.19606, §2, shared by the executions of a stage). At
            first the network computes what it computes without them.
    """

    injection: Injection = "none"
    embedding: LoopEmbedding = "none"
    readout: Readout = "last"
    streams: int = 1

    __pydantic_config__ = STRICT
