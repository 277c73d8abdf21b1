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

from dataclasses import dataclass

from sret_search.architecture import Architecture, Stage


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


def cost(a: Architecture) -> Cost:
    """Count an architecture, in some tens of microseconds."""
    params = dict.fromkeys(PARAMS, 0)
    macs = dict.fromkeys(MACS, 0)
    params["stem"], macs["stem"] = _stem(a)

    shared = per_execution = 0
    for i, stage in enumerate(a.stages):
        d, tokens, executions = stage.width, a.sides[i] ** 2, stage.executions
        if i == 0:
            params["positions"] = tokens * d
        else:
            params["pools"] += 10 * d
            macs["pools"] += tokens * 9 * d

        relaxed = relaxed_params(a, stage)
        for loops, blocks in stage.blocks_by_loops.items():
            once = block_params(a, stage)
            if loops > 1:
                once -= 4 * d if a.relax.norm else 0
                shared += blocks * once
                params["relaxed"] += blocks * loops * relaxed
                macs["relaxed"] += blocks * loops * tokens * lora_params(a, stage)
                per_execution += blocks * loops * relaxed
            params["blocks"] += blocks * once
            for loop in range(min(loops, len(stage.groups))):
                runs = 1 if loop < len(stage.groups) - 1 else loops - loop
                macs["attention"] += blocks * runs * 2 * tokens**2 * d // stage.groups[loop]
        macs["projections"] += executions * 4 * tokens * d * d
        macs["mlp"] += executions * 2 * tokens * d * stage.hidden

        if a.nll.share != "none":
            one = nll_params(a, stage)
            params["nll"] += a.nlls(stage) * one
            shared += _shared_nlls(a, stage) * one
            per_execution += one * executions if a.nll.share == "execution" else 0
            macs["nll"] += executions * 2 * tokens * d * a.nll.hidden(d)

    width = a.stages[-1].width
    params["head"] = 2 * width + (width + 1) * a.classes
    macs["head"] = width * a.classes

    executions = a.executions
    return Cost(
        params_by_part=params,
        macs_by_part=macs,
        params_shared=shared,
        params_per_execution=per_execution,
        executions=executions,
        unique_blocks=a.unique_blocks,
        sub_layers=(2 if a.nll.share == "none" else 3) * executions,
        nlls=sum(a.nlls(stage) for stage in a.stages),
    )


def block_params(a: Architecture, stage: Stage) -> int:
    """Parameters of a block that runs once: two norms, attention, MLPs, two residual additions."""
    d, experts = stage.width, a.relax.experts
    mlp = experts * mlp_params(d, stage.hidden) + (2 * experts if experts > 1 else 0)
    return 4 * d + 4 * d * d + 4 * d + mlp + 2 * residual_params(a, d)


def mlp_params(width: int, hidden: int) -> int:
    """Parameters of two linear layers."""
    return 2 * width * hidden + hidden + width


def nll_params(a: Architecture, stage: Stage) -> int:
    """Parameters of one NLL: norm, MLP, residual addition."""
    d = stage.width
    return 2 * d + mlp_params(d, a.nll.hidden(d)) + residual_params(a, d)


def relaxed_params(a: Architecture, stage: Stage) -> int:
    """Parameters that one loop of a block has of its own: norms, gains, LoRA factors."""
    norms = 4 * stage.width if a.relax.norm else 0
    return norms + (2 if a.relax.gain else 0) + lora_params(a, stage)


def lora_params(a: Architecture, stage: Stage) -> int:
    """Both factors of the updates to the attention's and the MLP's two linear layers each; as
    many multiply-adds a token."""
    return (a.relax.lora or 0) * (8 * stage.width + 2 * stage.hidden)


def residual_params(a: Architecture, width: int) -> int:
    """Parameters of one residual addition."""
    return {"lrc": 2, "layerscale": width, "scaled": 0}[a.residual.kind]


def _stem(a: Architecture) -> tuple[int, int]:
    params = macs = 0
    side, channels = a.image_size, a.in_channels
    for width, stride in zip(a.stem_channels, a.stem_strides, strict=True):
        side = -(-side // stride)
        weights = channels * width * (9 if a.stem == "convolutions" else stride**2)
        params += weights + width * (3 if a.stem == "convolutions" else 1)
        macs += side * side * weights
        channels = width
    return params, macs


def _shared_nlls(a: Architecture, stage: Stage) -> int:
    """NLLs of a stage that run more than once."""
    if a.nll.share == "stage":
        return int(stage.executions > 1)
    if a.nll.share == "block":
        return sum(blocks for loops, blocks in stage.blocks_by_loops.items() if loops > 1)
    return 0
