"""The expected improvement of hypervolume, with exact costs and an uncertain merit."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr

from sret_search.search.samplers.frontier.gp import Numbers

_CELLS = 4096
"""Cells into which the costs are divided, at most. With several costs the edges are merged."""
_TOGETHER = 512


class ExpectedHypervolume:
    """The steps of a front: for all costs, the best merit at these costs or less.

    Costs are known. So the expected improvement of hypervolume (Emmerich et al., 2006) is a sum
    over the steps of the front: the expected gain in merit times the width of the step. It is exact
    with one cost, and with several costs if the front has at most `_CELLS` steps.
    """

    def __init__(self, merits: Numbers, costs: Numbers, floor: float, reference: Numbers) -> None:
        """Compute the steps of the front.

        Args:
            merits: of the front's members or of any points, to be maximised (points,).
            costs: of the same points (points, costs).
            floor: the merit of the reference point.
            reference: the costs of the reference point (costs,).
        """
        inside = (merits > floor) & (costs < reference).all(1)
        merits, costs = merits[inside], costs[inside]
        most = int(_CELLS ** (1 / len(reference)) + 1e-9) - 1
        self._edges = [_some(np.unique(column), most) for column in costs.T]
        heights = np.full([len(edges) + 1 for edges in self._edges], floor)
        places = [
            # The lowest edge at or above the cost: merged edges must not make a point cheaper.
            np.searchsorted(edges, column) + 1
            for edges, column in zip(self._edges, costs.T, strict=True)
        ]
        np.maximum.at(heights, tuple(places), merits)
        for axis in range(heights.ndim):
            np.maximum.accumulate(heights, axis=axis, out=heights)
        self._heights, step_of = np.unique(heights, return_inverse=True)
        self._step_of = step_of.reshape(heights.shape)
        self._reference = reference

    def improvement(self, mean: Numbers, deviation: Numbers, costs: Numbers) -> Numbers:
        """The expected improvement by points whose merits are normally distributed (points,)."""
        gains = np.empty(len(mean))
        for part in _parts(len(mean)):
            gain = expected(mean[part, None], deviation[part, None], self._heights)
            by_cell = gain.reshape(len(gain), -1)[:, self._step_of]
            for axis in reversed(range(len(self._edges))):
                width = self._widths(axis, costs[part, axis])
                width = width.reshape(len(gain), *[1] * axis, -1)
                by_cell = (by_cell * width).sum(-1)
            gains[part] = by_cell
        return gains

    def _widths(self, axis: int, costs: Numbers) -> Numbers:
        """Width of the part of each interval that lies above a cost (points, intervals)."""
        edges = np.concatenate([[-math.inf], self._edges[axis], [self._reference[axis]]])
        low = np.maximum(edges[:-1], costs[:, None])
        widths: Numbers = np.maximum(edges[1:] - low, 0.0)
        return widths


def expected(mean: Numbers, deviation: Numbers, height: Numbers) -> Numbers:
    """The expected excess of a normally distributed number over a height."""
    off = (mean - height) / deviation
    density = np.exp(-0.5 * off**2) / math.sqrt(2 * math.pi)
    excess: Numbers = deviation * (off * ndtr(off) + density)
    return np.maximum(excess, 0.0)


def _some(edges: Numbers, most: int) -> Numbers:
    """At most `most` of the edges, evenly spaced, with the last among them."""
    if len(edges) <= most:
        return edges
    return edges[np.linspace(0, len(edges) - 1, most).round().astype(np.int64)]


def _parts(size: int) -> Iterator[slice]:
    for start in range(0, size, _TOGETHER):
        yield slice(start, start + _TOGETHER)
