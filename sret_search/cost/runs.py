"""Parameters by the number of their runs in a forward pass."""

from __future__ import annotations

from collections import Counter

from sret_search.architecture import Architecture
from sret_search.cost.count import block_params, cost, nll_params


def params_by_runs(a: Architecture) -> dict[int, int]:
    """Parameters by the number of their runs in a forward pass of one image: {runs: parameters}.

    The sum is the number of all parameters. `Cost.params_shared` counts those with more than one
    run.
    """
    by_runs: Counter[int] = Counter()
    for stage in a.stages:
        nll = nll_params(stage, a.nll, a.residual.kind)
        block = block_params(stage, a.residual.kind, a.relax) - a.relax.norm * 4 * stage.width
        block += (a.nll.share == "block") * nll
        for loops, blocks in stage.blocks_by_loops.items():
            by_runs[loops] += (loops > 1) * blocks * block
        if a.nll.share == "stage":
            by_runs[stage.executions] += (stage.executions > 1) * nll
    by_runs[1] = cost(a).params - sum(by_runs.values())
    return {runs: params for runs, params in sorted(by_runs.items()) if params}
