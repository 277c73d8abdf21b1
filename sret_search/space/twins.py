"""Twins: candidates without recursion, compared with a recursive candidate at equal costs.

A recursive model saves parameters at the price of multiply-adds. A fair comparison keeps one
of the two costs equal (Bae et al., 2410.20672, §4). All twins keep the candidate's stem, heads,
NLL and residual. No twin runs weights twice:

    unshared        equal number of executions, each of a separate block
    shallow         the same blocks, each run once
    iso_params      shallow, with a width that gives equal parameters
    iso_macs        shallow, with a width that gives equal multiply-adds
    iso_train_macs  shallow, with a length of training that gives equal training multiply-adds
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sret_search.architecture import Architecture, Stage
from sret_search.cost import cost
from sret_search.job import DepthTraining, Recipe, train_macs
from sret_search.space.candidate import Candidate

TOLERANCE = 0.02
"""Relative difference of a matched cost up to which a twin counts as equal."""
_RATIOS = 0.25, 4.0
"""Bounds of the factor by which the hidden widths of a twin's MLPs may change, to match a cost."""
_MOST_WIDE = 4096
"""Largest width of the first stage at which a twin is searched."""
_HALVINGS = 40


@dataclass(frozen=True)
class Twin:
    """A twin of a candidate.

    Attributes:
        control: name of the control.
        candidate: the twin.
        matched: name of the cost that must be equal, if there is one.
        gap: relative difference of this cost; positive if the twin's is larger.
    """

    control: str
    candidate: Candidate
    matched: str | None = None
    gap: float = 0.0


def twins(controls: Sequence[str], candidate: Candidate, images: int) -> Iterator[Twin]:
    """Twins of a recursive candidate. A candidate without recursion has none.

    Args:
        controls: names of the controls.
        images: number of images of the training part; 0 if it is not known yet.
    """
    images = max(images, 1)
    a, recipe = candidate.architecture, candidate.recipe
    if a.loops == 1:
        return
    # Without loops there are none that grow or run without a graph.
    plain = replace(recipe, depth_training=DepthTraining(), depths=())
    flat, known = shallow(a), candidate.cost

    def twin(
        control: str, built: Architecture, how: Recipe = plain, matched: str | None = None
    ) -> Twin:
        counterpart = Candidate({}, built, how)
        if matched is None:
            return Twin(control, counterpart)
        wanted, reached = (
            train_macs(each.architecture, each.recipe, images)
            if matched == "train_macs"
            else getattr(each.cost, matched)
            for each in (candidate, counterpart)
        )
        return Twin(control, counterpart, matched, reached / wanted - 1)

    for control in controls:
        match control:
            case "unshared":
                yield twin(control, unshared(a))
            case "shallow":
                yield twin(control, flat)
            case "iso_params":
                wide = widened(flat, known.params, lambda network: cost(network).params)
                yield twin(control, wide, matched="params")
            case "iso_macs":
                wide = widened(flat, known.macs, lambda network: cost(network).macs)
                yield twin(control, wide, matched="macs")
            case "iso_train_macs":
                if recipe.unit == "macs":
                    yield twin(control, flat, plain, "train_macs")
                    continue
                times = train_macs(a, recipe, images) / train_macs(flat, plain, images)
                yield twin(control, flat, lengthened(plain, times), "train_macs")
            case "rerun":
                pass  # a rerun needs no training


def unshared(a: Architecture) -> Architecture:
    """Network with an equal number of executions, each of a separate block. If slice groups differ
    between loops, those of the first loop are kept."""
    return replace(a, stages=tuple(replace(s, unique=s.executions, loops=1) for s in a.stages))


def shallow(a: Architecture) -> Architecture:
    """Network with the same blocks, each run once."""
    return _with_stages(a, lambda stage: replace(stage, loops=1))


def lengthened(recipe: Recipe, times: float) -> Recipe:
    """Recipe with its length multiplied by `times`. Warmup and decay keep their share of it."""
    length = recipe.length * times
    changed: dict[str, Any] = {
        recipe.unit: length if recipe.unit == "epochs" else max(round(length), 1)
    }
    for name in ("warmup", "decay"):
        part = getattr(recipe, name)
        if part is not None:
            changed[name] = part / recipe.length * changed[recipe.unit]
    return replace(recipe, **changed)


def widened(
    a: Architecture, wanted: float, measure: Callable[[Architecture], float]
) -> Architecture:
    """Wider or narrower network with a cost as near to `wanted` as possible.

    All widths change by the same factor, the number of heads does not change. The hidden widths of
    MLPs close the gap between two possible widths.

    Args:
        measure: gives the cost of a network.
    """
    widths = _widths(a)
    more = bisect_right(widths, wanted, key=lambda width: measure(_at_width(a, width)))
    around = {max(more - 1, 0), min(more, len(widths) - 1)}
    filled = [_filled(_at_width(a, widths[i]), wanted, measure) for i in sorted(around)]

    def distance(network: tuple[Architecture, float]) -> tuple[bool, float]:
        architecture, factor = network
        gap = abs(measure(architecture) / wanted - 1)
        return gap > TOLERANCE, gap if gap > TOLERANCE else abs(math.log(factor))

    return min(filled, key=distance)[0]


def _widths(a: Architecture) -> range:
    """Widths of the first stage with which all stages can be built."""
    first = a.stages[0].width
    even = 2 if len(a.stem_strides) > 1 else 1
    step = even
    for stage in a.stages:
        times = stage.width // first
        step = math.lcm(step, stage.heads // math.gcd(stage.heads, times))
    return range(step, max(_MOST_WIDE, first) + 1, step)


def _at_width(a: Architecture, width: int) -> Architecture:
    first = a.stages[0].width
    return _with_stages(a, lambda stage: replace(stage, width=stage.width // first * width))


def _filled(
    a: Architecture, wanted: float, measure: Callable[[Architecture], float]
) -> tuple[Architecture, float]:
    """Network with hidden widths of MLPs multiplied by the factor that gives the nearest cost, and
    this factor."""
    low, high = _RATIOS
    for _ in range(_HALVINGS):
        factor = math.sqrt(low * high)
        low, high = (factor, high) if measure(_thicker(a, factor)) < wanted else (low, factor)
    best = min((1.0, low, high), key=lambda f: abs(measure(_thicker(a, f)) / wanted - 1))
    return _thicker(a, best), best


def _thicker(a: Architecture, factor: float) -> Architecture:
    if factor == 1:
        return a

    def thicker(stage: Stage) -> Stage:
        hidden = max(round(factor * stage.hidden), 1)
        # Rounded up, since the hidden width is the ratio times the width, rounded down.
        return replace(stage, mlp_ratio=math.ceil(hidden / stage.width * 1e6) / 1e6)

    return _with_stages(a, thicker)


def _with_stages(a: Architecture, changed: Callable[[Stage], Stage]) -> Architecture:
    return replace(a, stages=tuple(map(changed, a.stages)))
