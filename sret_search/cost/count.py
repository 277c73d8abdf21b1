"""Parameters and multiply-adds of an architecture.

MACs are multiply-adds of one image in convolutions, linear layers and both attention products.
With N tokens of width d, MLP width h, NLL width n, G slice groups and LoRA rank
r, an execution has

    projections 4·N·d²   attention products 2·N²·d/G   MLP 2·N·d·h   NLL 2·N·d·n
    LoRA factors N·r·(8·d + 2·h)

multiply-adds (Shen et al., 2111.05297, §3.4: only the attention products depend on G). The
injection "linear" has N·d² for the stage's input and as many before each loop that it changes. K
streams have K·(K + 1)·N·d in an execution, and K·N·d at the end of the stage. What does not depend
on the image is not counted: the mix of the weights of an expert bank, and embeddings of loops.

Candidates of a space share most of their stages, so the costs of stages are cached.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from sret_search.architecture import NLL, Architecture, Loop, Relax, Stage
from sret_search.architecture.parts import (
    CACHED,
    FILM_FEATURES,
    Norm,
    Order,
    ResidualKind,
    stem_channels,
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of an architecture.

    Attributes:
        params_by_part, macs_by_part: breakdowns. Their sums are `params` and `macs`.
        params_shared: parameters that run more than once in a forward pass.
        params_per_execution: parameters that only one execution of a looping block uses: NLLs,
            norms, gains, LoRA factors and learned embeddings.
        executions: block executions of one forward pass (the depth of a study).
        unique_blocks: number of distinct blocks.
        sub_layers: attentions, MLPs and NLLs that run. Some papers call these "layers".
        nlls: number of distinct NLLs.
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


PARAMS = ("stem", "positions", "blocks", "relaxed", "loop", "nll", "pools", "head")
MACS = ("stem", "projections", "attention", "mlp", "relaxed", "loop", "nll", "pools", "head")


class Options(NamedTuple):
    """The fields of an architecture on which the costs of all its stages depend."""

    nll: NLL
    residual: ResidualKind
    relax: Relax
    loop: Loop
    norm: Norm
    order: Order


def options(a: Architecture) -> Options:
    """The fields of an architecture on which the costs of all its stages depend."""
    return Options(a.nll, a.residual.kind, a.relax, a.loop, a.norm, a.order)


class StageCost(NamedTuple):
    """Costs of a stage: the counts of `Cost`, and the parts in the order of `PARAMS` and `MACS`."""

    params: tuple[int, ...]
    macs: tuple[int, ...]
    shared: int
    per_execution: int
    executions: int
    sub_layers: int
    nlls: int


def cost(a: Architecture) -> Cost:
    """Count the parameters and multiply-adds of an architecture, in some tens of microseconds."""
    stem_params, stem_macs = _stem(
        a.stem, a.stem_strides, a.image_size, a.in_channels, a.stages[0].width
    )
    common = options(a)
    stages = [
        _stage(stage, i == 0, side * side, common)
        for i, (stage, side) in enumerate(zip(a.stages, a.sides, strict=True))
    ]
    params = dict(zip(PARAMS, map(sum, zip(*(s.params for s in stages), strict=True)), strict=True))
    macs = dict(zip(MACS, map(sum, zip(*(s.macs for s in stages), strict=True)), strict=True))
    width = a.stages[-1].width
    params["stem"], macs["stem"] = stem_params, stem_macs
    params["head"], macs["head"] = 2 * width + (width + 1) * a.classes, width * a.classes
    params["loop"] += _readout_params(a)
    return Cost(
        params_by_part=params,
        macs_by_part=macs,
        params_shared=sum(s.shared for s in stages),
        params_per_execution=sum(s.per_execution for s in stages),
        executions=sum(s.executions for s in stages),
        unique_blocks=a.unique_blocks,
        sub_layers=sum(s.sub_layers for s in stages),
        nlls=sum(s.nlls for s in stages),
    )


def macs_of_executions(a: Architecture, index: int, part: Stage) -> int:
    """Multiply-adds of some executions of a stage for one image, without what the stage does once:
    the pool before it, the first product of an injected input, and the sum of streams at its end.

    Args:
        index: place of the stage in the network, which gives its tokens.
        part: a stage of these executions alone.
    """
    tokens, d, k = a.sides[index] ** 2, part.width, a.loop.streams
    known = dict(zip(MACS, _stage(part, index == 0, tokens, options(a)).macs, strict=True))
    macs = sum(known.values()) - known["pools"] - known["loop"]
    if a.stages[index].most_loops == 1:
        return macs
    if a.loop.injection == "linear":
        macs += injected_executions(part, a.order) * tokens * d * d
    return macs + (part.executions * k * (k + 1) * tokens * d if k > 1 else 0)


def params_by_runs(a: Architecture) -> dict[int, int]:
    """Parameters by the number of their runs in a forward pass of one image: {runs: parameters}.

    The sum is the number of all parameters. `Cost.params_shared` counts those with more than one
    run.
    """
    by_runs: Counter[int] = Counter()
    common = options(a)
    for stage in a.stages:
        nll = nll_params(stage, a.nll, a.residual.kind)
        block = block_params(stage, common) - a.relax.norm * 4 * stage.width
        block += _film_params(stage, a.loop)
        block += (a.nll.share == "block") * nll
        for loops, blocks in stage.blocks_by_loops.items():
            by_runs[loops] += (loops > 1) * blocks * block
        if (injected := injected_executions(stage, a.order)) > 1:
            by_runs[injected] += _injection_params(stage, a.loop)
        if stage.executions > 1:
            by_runs[stage.executions] += _stream_params(stage, a.loop)
        if a.nll.share == "stage":
            by_runs[stage.executions] += (stage.executions > 1) * nll
    by_runs[1] = cost(a).params - sum(by_runs.values())
    return {runs: params for runs, params in sorted(by_runs.items()) if params}


@lru_cache(maxsize=CACHED)
def _stage(s: Stage, first: bool, tokens: int, common: Options) -> StageCost:
    """Costs of a stage, with the positions before the first stage or the pool before another."""
    nll, residual, relax, loop = common.nll, common.residual, common.relax, common.loop
    d, h, n, executions = s.width, s.hidden, nll.hidden(s.width), s.executions
    looping, looped, nlls = looping_blocks(s), looped_executions(s), nll.count(s)
    norms = 4 * d * relax.norm
    factors = (relax.lora or 0) * (8 * d + 2 * h)
    block, of_nll = block_params(s, common), nll_params(s, nll, residual)
    of_loop = norms + 2 * relax.gain + factors
    learned = d * (loop.embedding == "learned")
    injection, film = _injection_params(s, loop), looping * _film_params(s, loop)
    streams, injected = _stream_params(s, loop), injected_executions(s, common.order)
    # Tokens to which a token attends, summed over executions.
    seen = sum(
        blocks * sum(runs * (tokens // groups) for groups, runs in slices(s.groups, loops))
        for loops, blocks in s.blocks_by_loops.items()
    )
    params = {
        "positions": tokens * d if first else 0,
        "blocks": s.unique * block - looping * norms,
        "relaxed": looped * of_loop,
        "loop": injection + looped * learned + film + streams,
        "nll": nlls * of_nll,
        "pools": 0 if first else 10 * d,
    }
    macs = {
        "projections": executions * 4 * tokens * d * d,
        "attention": 2 * tokens * d * seen,
        "mlp": executions * 2 * tokens * d * h,
        "relaxed": looped * tokens * factors,
        "loop": _loop_macs(s, tokens, loop, injected),
        "nll": executions * 2 * tokens * d * n,
        "pools": 0 if first else tokens * 9 * d,
    }
    own_nll = of_nll if nll.share == "execution" else 0
    return StageCost(
        params=tuple(params.get(part, 0) for part in PARAMS),
        macs=tuple(macs.get(part, 0) for part in MACS),
        shared=looping * (block - norms)
        + _nlls_shared(nll, s) * of_nll
        + (injected > 1) * injection
        + film
        + streams,
        per_execution=looped * (of_loop + learned + own_nll),
        executions=executions,
        sub_layers=(2 + (n > 0)) * executions,
        nlls=nlls,
    )


def block_params(s: Stage, common: Options) -> int:
    """Parameters of a block, norms included."""
    d, experts = s.width, common.relax.experts
    bank = experts * _mlp(d, s.hidden) + (2 * experts if experts > 1 else 0)
    norms = 4 * d if common.norm == "pre" else 8 * d
    return norms + 4 * d * d + 4 * d + bank + 2 * _residual_params(common.residual, d)


def nll_params(s: Stage, nll: NLL, residual: ResidualKind) -> int:
    """Parameters of an NLL; without NLLs, those of an NLL with hidden width 0."""
    return 2 * s.width + _mlp(s.width, nll.hidden(s.width)) + _residual_params(residual, s.width)


def injected_executions(s: Stage, order: Order) -> int:
    """Number of executions before which the stage's input may be injected: loops after the first
    of each block, or in the order "cycle" of each group of blocks with as many loops."""
    blocks = range(s.unique)
    if order == "sequence":
        return sum(s.loops_of(block) - 1 for block in blocks)
    return sum(loops - 1 for loops, _ in groupby(blocks, s.loops_of))


def _injection_params(s: Stage, loop: Loop) -> int:
    if s.most_loops == 1:
        return 0
    return {"linear": 2 * s.width**2, "gate": 2 * s.width}.get(loop.injection, 0)


def _film_params(s: Stage, loop: Loop) -> int:
    """Parameters of a looping block that compute its scales and shifts."""
    return 4 * s.width * FILM_FEATURES if loop.embedding == "film" else 0


def _stream_params(s: Stage, loop: Loop) -> int:
    k = loop.streams
    return k * k + 2 * k if k > 1 and s.most_loops > 1 else 0


def _readout_params(a: Architecture) -> int:
    return a.loops_read if a.loop.readout == "weighted" and a.reads_all_loops else 0


def _loop_macs(s: Stage, tokens: int, loop: Loop, injected: int) -> int:
    """Multiply-adds of the injection and the streams.

    Args:
        injected: executions before which the stage's input is injected.
    """
    if s.most_loops == 1:
        return 0
    d, k = s.width, loop.streams
    injection = (1 + injected) * tokens * d * d if loop.injection == "linear" else 0
    streams = (s.executions * k * (k + 1) + k) * tokens * d if k > 1 else 0
    return injection + streams


def looping_blocks(s: Stage) -> int:
    """Number of blocks that run more than once."""
    return sum(blocks for loops, blocks in s.blocks_by_loops.items() if loops > 1)


def looped_executions(s: Stage) -> int:
    """Number of executions of the blocks that run more than once."""
    return sum(loops * blocks for loops, blocks in s.blocks_by_loops.items() if loops > 1)


def slices(groups: tuple[int, ...], loops: int, first: int = 0) -> list[tuple[int, int]]:
    """Slice groups of a block's loops, from loop `first` on: [(groups, number of loops), …]."""
    last = len(groups) - 1
    listed = [(groups[loop], 1) for loop in range(first, min(last, loops))]
    return [*listed, (groups[last], max(loops - max(last, first), 0))]


def _mlp(width: int, hidden: int) -> int:
    """Parameters of two linear layers."""
    return 2 * width * hidden + hidden + width


def _residual_params(kind: ResidualKind, width: int) -> int:
    """Parameters of a residual addition: two scalars, a gain for each channel, or none."""
    return {"lrc": 2, "layerscale": width, "scaled": 0}[kind]


def _nlls_shared(nll: NLL, s: Stage) -> int:
    """Number of distinct NLLs that run more than once."""
    if nll.share == "stage":
        return int(s.executions > 1)
    return looping_blocks(s) if nll.share == "block" else 0


@lru_cache(maxsize=CACHED)
def _stem(
    stem: str, strides: tuple[int, ...], image_size: int, in_channels: int, width: int
) -> tuple[int, int]:
    """Parameters and multiply-adds of the stem."""
    convolutions = stem == "convolutions"
    params = macs = 0
    side, channels = image_size, in_channels
    for out, stride in zip(stem_channels(strides, width), strides, strict=True):
        side = -(-side // stride)
        weights = channels * out * (9 if convolutions else stride**2)
        # Batch normalisation has a gain and a bias for each channel.
        params += weights + (3 if convolutions else 1) * out
        macs += weights * side * side
        channels = out
    return params, macs
