"""How long it takes to go through every combination of a space, and what is then known of it.

    python benchmarks/screening_speed.py            # 100,000 and 1,000,000 combinations, one core

The spaces are pyramids of three stages for images of 224 pixels, with widths, loops, slice groups,
MLPs and NLLs, a rule that some combinations break, and a budget of parameters, multiply-adds and
memory that about half of the others are beyond. Printed are seconds of the processor, for each step
of what `sret-search plan` does: enumerate and build, count parameters and multiply-adds, estimate
the memory, tell apart what is built.
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
from sret_search.space.feasible_set import FeasibleSet
from sret_search.space.space import Space

_IMAGES = 1_000_000
_WIDTHS = [48, 64, 72, 96, 128, 144, 192]
_LOOPS = [1, 2, 3, 4, 6, 8]


def pyramid(combinations: int) -> Space:
    """A space of about so many combinations, before rules and budget."""
    loops = _LOOPS[: 4 if combinations <= 100_000 else 6]
    axes = {
        "stages.0.width": Axis(choices=_WIDTHS),
        "stages.1.width": Axis(choices=[128, 144, 192, 288], same_as=None),
        "stages.2.width": Axis(choices=[384, 576]),
        **{f"stages.{i}.loops": Axis(choices=loops) for i in range(3)},
        "stages.0.groups": Axis(choices=[[1], [8, 2], [16, 4]]),
        "stages.1.groups": Axis(choices=[[1], [4, 1]]),
        "stages.*.mlp_ratio": Axis(choices=[2.0, 3.0, 3.6, 4.0][: max(len(loops) - 2, 1)]),
        "nll.share": Axis(choices=["none", "stage", "block", "execution"]),
        "recipe.lr": Axis(choices=[1e-3, 2e-3] if combinations > 100_000 else [1e-3]),
    }
    if combinations <= 100_000:
        axes["stages.*.mlp_ratio"] = Axis(choices=[3.0, 4.0])
        axes["stages.1.width"] = Axis(choices=[144, 192, 288])
    limits = Budget(
        params=Limit(max=12_000_000),
        macs=Limit(max=3_000_000_000),
        memory=SizeLimit(max=8 * 2**30),
    )
    return Space(VARIANTS["sret_t"], Recipe(epochs=10, batch_size=64), axes, limits)


def timed(step: Callable[[], Any]) -> tuple[Any, float]:
    """What a step gives, and the seconds of the processor that it took."""
    start = time.process_time()
    found = step()
    return found, time.process_time() - start


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    for size in parser.parse_args().sizes:
        points = FeasibleSet(pyramid(size), CostContext(images=_IMAGES), at_most=10 * size)
        whole, build = timed(lambda points=points: points.whole)
        within, costs = timed(lambda whole=whole: whole.feasible)
        distinct, identity = timed(lambda whole=whole: whole.distinct)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{points.space.size:,} combinations, {len(whole.rows):,} built,"
            f" {int(within.sum()):,} feasible, {len(distinct):,} distinct:"
            f" {build:.2f} s to build, {costs:.2f} s for costs, {identity:.2f} s to tell apart,"
            f" {build + costs + identity:.2f} s in all; {peak:.0f} MB"
        )


if __name__ == "__main__":
    main()
