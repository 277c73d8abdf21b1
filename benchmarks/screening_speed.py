"""How long it takes to go through every combination of a space, and what is then known of it.

    python benchmarks/screening_speed.py            # some 10 seconds of one core
    python benchmarks/screening_speed.py --large    # 2,322,432 combinations, some 2 minutes and 2 GB

The space is a pyramid of three stages for images of 224 pixels, with widths, loops, slice groups,
MLPs and NLLs. A rule forbids two thirds of the combinations, and the budget of parameters,
multiply-adds and memory most of the others. Printed are seconds of the processor for each step of
what `sret-search plan` does: build, count and estimate costs, tell apart what is built.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

from sret_search.architecture.variants import VARIANTS
from sret_search.config.space_file import Axis, Budget, Limit, SizeLimit
from sret_search.job import Recipe
from sret_search.space.candidate import CostContext
from sret_search.space.feasible_set import AT_MOST_OF_GRID, FeasibleSet
from sret_search.space.space import Space

_IMAGES = 1_000_000
_BUDGET = Budget(
    params=Limit(max=12_000_000),
    macs=Limit(max=3_000_000_000),
    memory=SizeLimit(max=8 * 2**30),
)
_CHOICES: dict[str, list[Any]] = {
    "stages.0.width": [48, 64, 72, 96, 128, 144, 192],
    "stages.1.width": [144, 192, 288],
    "stages.2.width": [384, 576],
    **{f"stages.{i}.loops": [1, 2, 3, 4] for i in range(3)},
    "stages.0.groups": [[1], [8, 2], [16, 4]],
    "stages.1.groups": [[1], [4, 1]],
    "stages.*.mlp_ratio": [3.0, 4.0],
    "nll.share": ["none", "stage", "block", "execution"],
}
_LARGE = _CHOICES | {
    "stages.1.width": [128, 144, 192, 288],
    **{f"stages.{i}.loops": [1, 2, 3, 4, 6, 8] for i in range(3)},
    "stages.*.mlp_ratio": [2.0, 3.0, 3.6, 4.0],
    "recipe.lr": [1e-3, 2e-3],
}


def timed(step: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a step, and the processor seconds that it took."""
    start = time.process_time()
    found = step()
    return found, time.process_time() - start


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="twenty times as many combinations")
    choices = _LARGE if parser.parse_args().large else _CHOICES
    axes = {path: Axis(choices=values) for path, values in choices.items()}
    space = Space(VARIANTS["sret_t"], Recipe(epochs=10, batch_size=64), axes, _BUDGET)
    terms = CostContext(images=_IMAGES)
    points = FeasibleSet(space, terms, at_most=2 * AT_MOST_OF_GRID)
    whole, build = timed(lambda: points.whole)
    within, costs = timed(lambda: whole.feasible)
    distinct, identity = timed(lambda: whole.distinct)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{space.size:,} combinations, {len(whole.candidates):,} built, {int(within.sum()):,} feasible,"
        f" {len(distinct):,} distinct: {build:.2f} s to build, {costs:.2f} s for costs,"
        f" {identity:.2f} s to tell apart, {build + costs + identity:.2f} s in all; {peak:.0f} MB"
    )


if __name__ == "__main__":
    main()
