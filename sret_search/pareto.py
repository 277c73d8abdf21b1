"""Pareto fronts, and hypervolumes: of accuracy against a cost, and of ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def pareto(accuracies: Sequence[float], costs: Sequence[float]) -> np.ndarray:
    """Mask of the points on the Pareto front: no other point beats them.

    A point beats another if it is as accurate and as cheap, and better in accuracy or cost. Equal
    points are on the front together.

    Args:
        accuracies: to be maximised, (points,).
        costs: to be minimised, (points,).
    """
    points = np.column_stack([np.asarray(costs, float), -np.asarray(accuracies, float)])
    # The different points, the cheapest first, and of these the most accurate first.
    distinct, place = np.unique(points, axis=0, return_inverse=True)
    best_before = np.fmin.accumulate(np.append(np.inf, distinct[:-1, 1]))
    on_front: np.ndarray = distinct[:, 1] < best_before
    return on_front[place.reshape(-1)]


def nondominated(points: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """Mask of the points that no other point beats, (points,).

    A point beats another if it is as good in all objectives and better in at least one. Equal
    points are on the front together.

    Args:
        points: objectives to be maximised, (points, objectives).
    """
    values = np.asarray(points, float)
    best = np.ones(len(values), bool)
    for i, value in enumerate(values):
        if best[i]:
            # Drop all points that this point beats, also those later in the list.
            best &= ~((values <= value).all(1) & (values < value).any(1))
    return best


def hypervolume(
    accuracies: Sequence[float], params: Sequence[float], accuracy: float, most_params: float
) -> float:
    """Area of accuracy × log10 parameters that the points dominate, up to a reference.

    Args:
        accuracy: accuracy of the reference, usually chance.
        most_params: parameters of the reference, usually the budget's maximum.
    """
    points = sorted(
        (math.log10(p), a)
        for a, p in zip(accuracies, params, strict=True)
        if a > accuracy and p < most_params
    )
    area, best, edge = 0.0, accuracy, math.log10(most_params)
    for x, a in points:
        if a > best:
            area += (a - best) * (edge - x)
            best = a
    return area


def contributions(front: Sequence[tuple[int, ...]]) -> list[int]:
    """The volume above zero that only this point of a front dominates, for each point.

    Of equal points, the first has the volume that they dominate, and the others have zero.
    """
    distinct = list(dict.fromkeys(front))
    alone = {
        point: _exclusive(point, [other for other in distinct if other != point])
        for point in distinct
    }
    return [alone.pop(point, 0) for point in front]


def _exclusive(point: tuple[int, ...], others: Sequence[tuple[int, ...]]) -> int:
    """The volume that a point dominates and the others do not (While et al., 2012)."""
    shared = {tuple(map(min, point, other)) for other in others}
    if not shared:
        return math.prod(point)
    limited = sorted(shared, reverse=True)
    best = nondominated(limited)
    return math.prod(point) - _volume([limited[i] for i in best.nonzero()[0]])


def _volume(points: Sequence[tuple[int, ...]]) -> int:
    """The volume that the points dominate together."""
    return sum(_exclusive(point, points[i + 1 :]) for i, point in enumerate(points))
