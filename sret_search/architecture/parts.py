"""The parts of an architecture: stages, and what all stages have in common."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

Stem = Literal["convolutions", "patch"]
Order = Literal["sequence", "cycle"]
Permutation = Literal["none", "stride", "official"]
NLLShare = Literal["none", "stage", "block", "execution"]
ResidualKind = Literal["lrc", "layerscale", "scaled"]

# Read by pydantic where a file is checked; the rooms that build models do without pydantic.
STRICT = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one width at one resolution.

    Attributes:
        width: channels of a token (the field's embed_dim); heads must divide it.
        heads: attention heads.
        unique: distinct blocks.
        loops: executions of each block: one number for all, or one for each block, so that a
            prelude and a coda are blocks that run once, as in [1, 6, 6, 1].
        groups: slice groups of self-attention, one entry a loop; the last entry serves all
            later loops. 1 is plain global attention.
        mlp_ratio: hidden width of a block's MLP over `width`, rounded down.
    """

    width: int
    heads: int
    unique: int = 1
    loops: int | tuple[int, ...] = 1
    groups: tuple[int, ...] = (1,)
    mlp_ratio: float = 4.0

    __pydantic_config__ = STRICT

    @property
    def executions(self) -> int:
        return self.unique * self.loops if isinstance(self.loops, int) else sum(self.loops)

    @property
    def hidden(self) -> int:
        return int(self.mlp_ratio * self.width)

    def loops_of(self, block: int) -> int:
        """Executions of the block with this index."""
        return self.loops if isinstance(self.loops, int) else self.loops[block]

    @property
    def blocks_by_loops(self) -> dict[int, int]:
        """How many blocks run how often: {loops: blocks}."""
        if isinstance(self.loops, int):
            return {self.loops: self.unique}
        return Counter(self.loops)

    def groups_at(self, loop: int) -> int:
        """Slice groups of the loop with this index (0 is the first)."""
        return self.groups[min(loop, len(self.groups) - 1)]


@dataclass(frozen=True, slots=True)
class NLL:
    """The non-linear projection layer after each execution: z + MLP(LN z) (paper §3.2).

    Attributes:
        share: one NLL for each "execution" (the paper), "block" or "stage"; "none" has no NLL.
        ratio: hidden width over the stage's width.
        rank: a fixed hidden width in place of `ratio`, or None.
    """

    share: NLLShare = "execution"
    ratio: float = 1.0
    rank: int | None = None

    __pydantic_config__ = STRICT

    def hidden(self, width: int) -> int:
        return self.rank if self.rank is not None else int(self.ratio * width)


@dataclass(frozen=True, slots=True)
class Residual:
    """How a branch is weighted before it is added.

    Attributes:
        kind: "lrc", learnable scalars on both skip and branch, initialised to 1 (the paper's);
            "layerscale", a learnable gain per channel on the branch, initialised to `init`;
            "scaled", the constant `lam` · loops^-`p` · unique^-`q` on the branch, with the
            network's unique blocks and the block's loops (p = q = 0 is the plain residual).
    """

    kind: ResidualKind = "lrc"
    init: float = 1e-2
    lam: float = 1.0
    p: float = 1.0
    q: float = 0.5

    __pydantic_config__ = STRICT

    def branch_scale(self, loops: float, unique: int) -> float:
        """The constant weight of a branch where `kind` is "scaled"."""
        return float(self.lam * loops**-self.p * unique**-self.q)


@dataclass(frozen=True, slots=True)
class Relax:
    """What loops of one block need not share. A block that runs once shares nothing, and has
    neither gains nor LoRA factors.

    Attributes:
        norm: each loop has layer norms of its own.
        gain: each loop has a learnable scalar on each of its two branches, initialised to 1.
        lora: rank of the low-rank update that each loop adds to the block's four linear layers,
            as in relaxed recursive transformers (Bae et al., 2410.20672), or None.
        experts: MLPs in a block's bank. Their weights are mixed, convexly, by how far the
            block's loops have come; so the multiply-adds are those of one MLP.
    """

    norm: bool = False
    gain: bool = False
    lora: int | None = None
    experts: int = 1

    __pydantic_config__ = STRICT

    @property
    def per_loop(self) -> bool:
        """Whether loops have weights of their own."""
        return self.norm or self.gain or self.lora is not None
