"""Parameters and multiply-adds of an architecture.

MACs are multiply-adds of one image: convolutions, linear layers and both attention products,
nothing else. With N tokens of width d, MLP width h, NLL width n, G slice groups and LoRA rank
r, one execution has

    projections 4·N·d²   attention products 2·N²·d/G   MLP 2·N·d·h   NLL 2·N·d·n
    LoRA factors N·r·(8·d + 2·h)

multiply-adds (Shen et al., 2111.05297, §3.4: only the attention products see G). Mixing the
weights of an expert bank depends on no image, and is not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sret_search.architecture import Architecture
from sret_search.architecture.parts import (
    NLLShare,
    ResidualKind,
    executions_of,
    hidden_of,
    loops_by_block,
    nll_hidden,
    nlls_of,
    sides,
    stem_channels,
)

Apply = Callable[..., Any]
"""What gives a function of fields its values: `value` those of one architecture. In a table of
many architectures each field is a column, and so is each number; the formulas are the same."""


def value(function: Callable[..., Any], *fields: Any) -> Any:
    """The function of one architecture's fields."""
    return function(*fields)


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of one architecture. The parts of each breakdown add up to its total.

    Attributes:
        params_by_part, macs_by_part: breakdowns, summing to `params` and `macs`.
        params_shared: parameters that run more than once in a forward pass.
        params_per_execution: parameters that belong to one execution of a block that has more:
            its own NLL, norms, gains and LoRA factors.
        executions: block executions of one forward pass (the depth of a study).
        unique_blocks: distinct blocks.
        sub_layers: attentions, MLPs and NLLs executed, one of the literature's "layers".
        nlls: distinct NLLs.
    """

    params_by_part: dict[str, int]
    macs_by_part: dict[str, int]
    params_shared: int
    params_per_execution: int
    executions: int
    unique_blocks: int
    sub_layers: int
    nlls: int

    @property
    def params(self) -> int:
        return sum(self.params_by_part.values())

    @property
    def params_once(self) -> int:
        """Parameters that run exactly once in a forward pass."""
        return self.params - self.params_shared

    @property
    def macs(self) -> int:
        return sum(self.macs_by_part.values())


PARAMS = ("stem", "positions", "blocks", "relaxed", "nll", "pools", "head")
MACS = ("stem", "projections", "attention", "mlp", "relaxed", "nll", "pools", "head")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Everything of a stage that costs depend on.

    Attributes:
        width, hidden, nll: channels of a token, of a block's MLP, of an NLL (0: there is none).
        tokens, unique, executions: of the stage.
        looping, looped: blocks that run more than once, and their executions.
        seen: tokens that one attends to, summed over executions: tokens / slice groups each.
        nlls, nlls_shared: distinct NLLs, and those that run more than once.
    """

    width: int
    hidden: int
    nll: int
    tokens: int
    unique: int
    executions: int
    looping: int
    looped: int
    seen: int
    nlls: int
    nlls_shared: int


def numbers(a: Architecture, i: int, of: Apply = value) -> Numbers:
    """The numbers of a stage."""
    s = a.stages[i]
    runs = (s.unique, s.loops)
    return Numbers(
        width=of(int, s.width),
        hidden=of(hidden_of, s.width, s.mlp_ratio),
        nll=of(nll_hidden, s.width, a.nll.share, a.nll.ratio, a.nll.rank),
        tokens=of(partial(_tokens, i), a.image_size, a.stem_strides),
        unique=of(int, s.unique),
        executions=of(executions_of, *runs),
        looping=of(_looping, *runs),
        looped=of(_looped, *runs),
        seen=of(partial(_seen, i), a.image_size, a.stem_strides, s.groups, *runs),
        nlls=of(nlls_of, a.nll.share, *runs),
        nlls_shared=of(_nlls_shared, a.nll.share, *runs),
    )


def cost(a: Architecture, of: Apply = value) -> Cost:
    """Count an architecture, in some tens of microseconds."""
    params: dict[str, Any] = dict.fromkeys(PARAMS, 0)
    macs: dict[str, Any] = dict.fromkeys(MACS, 0)
    stem = (a.stem, a.stem_strides, a.image_size, a.in_channels, a.stages[0].width)
    params["stem"], macs["stem"] = of(_stem_params, *stem), of(_stem_macs, *stem)
    lora, norm, gain = of(or_zero, a.relax.lora), of(int, a.relax.norm), of(int, a.relax.gain)
    own_nlls = of(_is_own, a.nll.share)
    stages = [numbers(a, i, of) for i in range(len(a.stages))]

    shared = per_execution = 0
    for i, n in enumerate(stages):
        d, h, tokens, executions = n.width, n.hidden, n.tokens, n.executions
        if i == 0:
            params["positions"] = tokens * d
        else:
            params["pools"] += 10 * d
            macs["pools"] += tokens * 9 * d

        norms = 4 * d
        factors = lora * (8 * d + 2 * h)
        block, nll = weights(a, n, of)
        of_loop = norm * norms + 2 * gain + factors
        params["blocks"] += n.unique * block - n.looping * norm * norms
        params["relaxed"] += n.looped * of_loop
        macs["projections"] += executions * 4 * tokens * d * d
        macs["attention"] += 2 * tokens * d * n.seen
        macs["mlp"] += executions * 2 * tokens * d * h
        macs["relaxed"] += n.looped * tokens * factors

        params["nll"] += n.nlls * nll
        macs["nll"] += executions * 2 * tokens * d * n.nll
        shared += n.looping * (block - norm * norms) + n.nlls_shared * nll
        per_execution += n.looped * of_loop + own_nlls * n.looped * nll

    width, classes = stages[-1].width, of(int, a.classes)
    params["head"] = 2 * width + (width + 1) * classes
    macs["head"] = width * classes

    executions = sum(n.executions for n in stages)
    return Cost(
        params_by_part=params,
        macs_by_part=macs,
        params_shared=shared,
        params_per_execution=per_execution,
        executions=executions,
        unique_blocks=sum(n.unique for n in stages),
        sub_layers=(2 + (stages[0].nll > 0)) * executions,
        nlls=sum(n.nlls for n in stages),
    )


def weights(a: Architecture, n: Numbers, of: Apply = value) -> tuple[Any, Any]:
    """Parameters of one block of a stage, its norms with them, and of one NLL."""
    d, experts = n.width, of(int, a.relax.experts)
    fixed, by_channel = of(_residual_scalars, a.residual.kind), of(_residual_gains, a.residual.kind)
    add = fixed + by_channel * d
    bank = experts * _mlp(d, n.hidden) + (experts > 1) * 2 * experts
    return 4 * d + 4 * d * d + 4 * d + bank + 2 * add, 2 * d + _mlp(d, n.nll) + add


def _mlp(width: int, hidden: int) -> int:
    """Parameters of two linear layers."""
    return 2 * width * hidden + hidden + width


def _residual_scalars(kind: ResidualKind) -> int:
    """Parameters of one residual addition that do not depend on its width …"""
    return 2 if kind == "lrc" else 0


def _residual_gains(kind: ResidualKind) -> int:
    """… and those for each channel."""
    return 1 if kind == "layerscale" else 0


def _tokens(i: int, image_size: int, strides: tuple[int, ...]) -> int:
    side = sides(image_size, strides, i + 1)[i]
    return side * side


def _looping(unique: int, loops: int | tuple[int, ...]) -> int:
    return sum(blocks for own, blocks in loops_by_block(unique, loops).items() if own > 1)


def _looped(unique: int, loops: int | tuple[int, ...]) -> int:
    return sum(own * blocks for own, blocks in loops_by_block(unique, loops).items() if own > 1)


def _seen(
    i: int, image_size: int, strides: tuple[int, ...],
    groups: tuple[int, ...], unique: int, loops: int | tuple[int, ...],
) -> int:  # fmt: skip
    tokens = _tokens(i, image_size, strides)
    return sum(
        blocks * sum(runs * (tokens // own_groups) for own_groups, runs in slices(groups, own))
        for own, blocks in loops_by_block(unique, loops).items()
    )


def slices(groups: tuple[int, ...], loops: int, first: int = 0) -> list[tuple[int, int]]:
    """The slice groups of a block's loops, and how many loops have them."""
    last = len(groups) - 1
    listed = [(groups[loop], 1) for loop in range(first, min(last, loops))]
    return [*listed, (groups[last], max(loops - max(last, first), 0))]


def _nlls_shared(share: NLLShare, unique: int, loops: int | tuple[int, ...]) -> int:
    if share == "stage":
        return int(executions_of(unique, loops) > 1)
    return _looping(unique, loops) if share == "block" else 0


def _is_own(share: NLLShare) -> int:
    return int(share == "execution")


def or_zero(number: int | None) -> int:
    """A rank as a number; 0 where there is none."""
    return number or 0


def _stem_params(
    stem: str, strides: tuple[int, ...], image_size: int, in_channels: int, width: int
) -> int:
    own = 3 if stem == "convolutions" else 1
    layers = _stem_layers(stem, strides, image_size, in_channels, width)
    return sum(weights + own * channels for weights, channels, _ in layers)


def _stem_macs(
    stem: str, strides: tuple[int, ...], image_size: int, in_channels: int, width: int
) -> int:
    layers = _stem_layers(stem, strides, image_size, in_channels, width)
    return sum(weights * side * side for weights, _, side in layers)


def _stem_layers(
    stem: str, strides: tuple[int, ...], image_size: int, in_channels: int, width: int
) -> list[tuple[int, int, int]]:
    """Weights, output channels and output side of each layer."""
    layers = []
    side, channels = image_size, in_channels
    for out, stride in zip(stem_channels(strides, width), strides, strict=True):
        side = -(-side // stride)
        layers.append((channels * out * (9 if stem == "convolutions" else stride**2), out, side))
        channels = out
    return layers
