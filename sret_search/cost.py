"""What an architecture costs, in closed form: parameters, multiply-adds, activations.

Imports neither torch nor ray; one candidate takes some tens of microseconds. MACs are
multiply-adds of one image: convolutions, linear layers and both attention products, nothing
else. With N tokens of width d, MLP width h, NLL width n and G slice groups, one execution has

    projections 4·N·d²   attention products 2·N²·d/G   MLP 2·N·d·h   NLL 2·N·d·n

multiply-adds (Shen et al., 2111.05297, §3.4: only the attention products see G).
"""

from __future__ import annotations

from dataclasses import dataclass

from sret_search.architecture import Architecture, Stage


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of one architecture. The parts of each breakdown add up to its total.

    Attributes:
        params_by_part, macs_by_part: breakdowns, summing to `params` and `macs`.
        params_shared: parameters that run more than once in a forward pass.
        executions: block executions of one forward pass (the depth of a study).
        unique_blocks: distinct blocks.
        sub_layers: attentions, MLPs and NLLs executed, one of the literature's "layers".
        nlls: distinct NLLs.
    """

    params_by_part: dict[str, int]
    macs_by_part: dict[str, int]
    params_shared: int
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


def cost(a: Architecture) -> Cost:
    """Count an architecture."""
    params = dict.fromkeys(("stem", "positions", "blocks", "nll", "pools", "head"), 0)
    macs = dict.fromkeys(("stem", "projections", "attention", "mlp", "nll", "pools", "head"), 0)

    side, channels = a.image_size, a.in_channels
    for width, stride in zip(a.stem_channels, a.stem_strides, strict=True):
        side = -(-side // stride)
        params["stem"] += 9 * channels * width + 3 * width
        macs["stem"] += side * side * 9 * channels * width
        channels = width

    shared = 0
    for i, stage in enumerate(a.stages):
        d, tokens = stage.width, a.sides[i] ** 2
        if i == 0:
            params["positions"] = tokens * d
        else:
            params["pools"] += 10 * d
            macs["pools"] += tokens * 9 * d

        blocks = stage.unique * block_params(a, stage)
        params["blocks"] += blocks
        shared += blocks if stage.loops > 1 else 0

        macs["projections"] += stage.executions * 4 * tokens * d * d
        macs["mlp"] += stage.executions * 2 * tokens * d * stage.hidden
        for loop in range(min(stage.loops, len(stage.groups))):
            runs = 1 if loop < len(stage.groups) - 1 else stage.loops - loop
            macs["attention"] += stage.unique * runs * 2 * tokens**2 * d // stage.groups[loop]

        if a.nll.share != "none":
            nlls = a.nlls(stage) * nll_params(a, stage)
            params["nll"] += nlls
            shared += nlls if a.nlls(stage) < stage.executions else 0
            macs["nll"] += stage.executions * 2 * tokens * d * a.nll.hidden(d)

    width = a.stages[-1].width
    params["head"] = 2 * width + (width + 1) * a.classes
    macs["head"] = width * a.classes

    nlls_run = 0 if a.nll.share == "none" else a.executions
    return Cost(
        params_by_part=params,
        macs_by_part=macs,
        params_shared=shared,
        executions=a.executions,
        unique_blocks=a.unique_blocks,
        sub_layers=2 * a.executions + nlls_run,
        nlls=sum(a.nlls(stage) for stage in a.stages),
    )


def block_params(a: Architecture, stage: Stage) -> int:
    """Parameters of one unique block: two norms, attention, MLP, two residual additions."""
    d, h = stage.width, stage.hidden
    return 4 * d + 4 * d * d + 4 * d + 2 * d * h + h + d + 2 * _residual_params(a, d)


def nll_params(a: Architecture, stage: Stage) -> int:
    """Parameters of one NLL: norm, MLP, residual addition."""
    d, n = stage.width, a.nll.hidden(stage.width)
    return 2 * d + 2 * d * n + n + d + _residual_params(a, d)


def saved_floats(a: Architecture, index: int) -> int:
    """Floats that one execution of stage `index` keeps for the backward pass, for one image.

    For each token: inputs of the norms and their two statistics, of the projections and the
    MLP's layers and GELU, the attention's queries, keys, values, output and a sum per head.
    """
    stage = a.stages[index]
    tokens, d, h = a.sides[index] ** 2, stage.width, stage.hidden
    floats = 9 * d + 4 + stage.heads + 2 * h
    if a.nll.share != "none":
        floats += 2 * d + 2 + 2 * a.nll.hidden(d)
    return tokens * floats


def train_macs(a: Architecture, samples: int) -> int:
    """Multiply-adds of training on `samples` images: 3 forward passes each, since a backward
    pass costs two. Recomputed activations are not counted."""
    return 3 * cost(a).macs * samples


def _residual_params(a: Architecture, width: int) -> int:
    return {"lrc": 2, "layerscale": width, "scaled": 0}[a.residual.kind]
