"""The hypervolume that a candidate is expected to add to a front, where only its merit is unsure."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr

from sret_search.search.samplers.frontier.gp import Numbers

_CELLS = 4096
"""Parts of the space of costs, at most; with several costs those of a front are merged."""
_TOGETHER = 512


class ExpectedHypervolume:
    """What a front dominates: for every amount of each cost, the best merit that it buys.

    With costs known, the expected improvement of hypervolume (Emmerich et al., 2006) is that of
    one unsure number over each step, times the step's width: exact with one cost, and with more
    as long as the front has no more than `_CELLS` steps.
    """

    def __init__(self, merits: Numbers, costs: Numbers, floor: float, reference: Numbers) -> None:
        """
        Args:
            merits: of the front's members or any points, to be maximised (points,).
            costs: theirs (points, costs).
            floor: the merit of the reference.
            reference: its costs (costs,). Hypervolume lies above and below these.
        """
        inside = (merits > floor) & (costs < reference).all(1)
        merits, costs = merits[inside], costs[inside]
        most = int(_CELLS ** (1 / len(reference)) + 1e-9) - 1
        self._edges = [_some(np.unique(one), most) for one in costs.T]
        heights = np.full([len(edges) + 1 for edges in self._edges], floor)
        places = [
            # The first edge at or above: merging never makes a point better than it is.
            np.searchsorted(edges, one) + 1
            for edges, one in zip(self._edges, costs.T, strict=True)
        ]
        np.maximum.at(heights, tuple(places), merits)
        for axis in range(heights.ndim):
            np.maximum.accumulate(heights, axis=axis, out=heights)
        self._heights, step_of = np.unique(heights, return_inverse=True)
        self._step_of = step_of.reshape(heights.shape)
        self._reference = reference

    def improvement(self, mean: Numbers, deviation: Numbers, costs: Numbers) -> Numbers:
        """The expected gain of points with normally distributed merits (points,)."""
        found = np.empty(len(mean))
        for part in _parts(len(mean)):
            gain = expected(mean[part, None], deviation[part, None], self._heights)
            by_cell = gain.reshape(len(gain), -1)[:, self._step_of]
            for axis in reversed(range(len(self._edges))):
                width = self._widths(axis, costs[part, axis])
                width = width.reshape(len(gain), *[1] * axis, -1)
                by_cell = (by_cell * width).sum(-1)
            found[part] = by_cell
        return found

    def _widths(self, axis: int, costs: Numbers) -> Numbers:
        """How much of each interval between edges lies beyond a cost (points, intervals)."""
        edges = np.concatenate([[-math.inf], self._edges[axis], [self._reference[axis]]])
        low = np.maximum(edges[:-1], costs[:, None])
        found: Numbers = np.maximum(edges[1:] - low, 0.0)
        return found


def expected(mean: Numbers, deviation: Numbers, height: Numbers) -> Numbers:
    """The expected part of a normally distributed number above a height."""
    off = (mean - height) / deviation
    density = np.exp(-0.5 * off**2) / math.sqrt(2 * math.pi)
    found: Numbers = deviation * (off * ndtr(off) + density)
    return np.maximum(found, 0.0)


def _some(edges: Numbers, most: int) -> Numbers:
    """So many of the edges at most, the last among them."""
    if len(edges) <= most:
        return edges
    return edges[np.linspace(0, len(edges) - 1, most).round().astype(np.int64)]


def _parts(size: int) -> Iterator[slice]:
    for start in range(0, size, _TOGETHER):
        yield slice(start, start + _TOGETHER)
