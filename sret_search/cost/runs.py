"""Parameters by how often they run."""

from __future__ import annotations

from collections import Counter

from sret_search.architecture import Architecture
from sret_search.cost.count import cost, numbers, weights


def params_by_runs(a: Architecture) -> dict[int, int]:
    """Parameters by how often they run in a forward pass of one image, {runs: parameters}; they
    add up to all. Those of more than one run are `Cost.params_shared`."""
    found: Counter[int] = Counter()
    for i, stage in enumerate(a.stages):
        n = numbers(a, i)
        block, nll = weights(a, n)
        for loops, blocks in stage.blocks_by_loops.items():
            own = block - a.relax.norm * 4 * n.width + (a.nll.share == "block") * nll
            found[loops] += (loops > 1) * blocks * own
        if a.nll.share == "stage":
            found[n.executions] += (n.executions > 1) * nll
    found[1] = cost(a).params - sum(found.values())
    return {runs: params for runs, params in sorted(found.items()) if params}
