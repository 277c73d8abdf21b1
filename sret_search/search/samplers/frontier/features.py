"""Features of candidates: numbers between 0 and 1, from which the model learns."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sret_search.search.samplers.frontier.gp import Features, Numbers
from sret_search.space.candidate import Values
from sret_search.space.screening import Rows, Screened
from sret_search.space.space import Space

COSTS = ("params", "macs", "executions")
"""Costs that are features, in the logarithm."""
_LOG = 8.0
"""Factor between the ends of an axis from which its numbers are taken in the logarithm."""
_WORDS = 16
"""Choices up to which each has a column. Longer lists of lists have columns of length and mean."""
_NEUTRAL = 0.5
"""The feature of an axis that is not active."""


class Encoding:
    """The encoding of candidates as features.

    An axis of numbers has a column. Another axis has a column for each value. The costs follow. An
    axis that follows another, or has a single value, has no column.
    """

    def __init__(self, space: Space, examples: Mapping[str, Numbers]) -> None:
        """Choose the columns.

        Args:
            examples: the costs of many candidates, by name.
        """
        self.space = space
        self._axes = {
            path: _Axis(space, path)
            for path, axis in space.axes.items()
            if axis.same_as is None and space.count(path) != 1
        }
        self._bounds = {}
        for name in COSTS:
            low, high = np.log(examples[name].min()), np.log(examples[name].max())
            if high - low > 1e-9:
                self._bounds[name] = float(low), float(high)
        widths = [axis.width for axis in self._axes.values()] + [1] * len(self._bounds)
        groups = np.repeat(np.arange(len(widths)), widths)
        of_axes = sum(axis.width for axis in self._axes.values())
        self.features = Features(groups, np.arange(len(groups)) >= of_axes)

    def of_candidate(self, values: Values, costs: Mapping[str, float]) -> Numbers:
        """The features of a candidate (features,)."""
        encoded = [
            axis.at(values[path]) if path in values else axis.neutral
            for path, axis in self._axes.items()
        ]
        scaled = [[self._scaled(name, math.log(costs[name]))] for name in self._bounds]
        return np.concatenate([*encoded, *scaled]) if encoded or scaled else np.zeros(0)

    def all(self, screened: Screened, places: Rows) -> Numbers:
        """The features of the candidates at these places (places, features)."""
        points, parts = [screened.candidates[place].values for place in places.tolist()], []
        for path, axis in self._axes.items():
            columns = [axis.at(v[path]) if path in v else axis.neutral for v in points]
            parts.append(np.array(columns).reshape(len(points), axis.width))
        for name in self._bounds:
            parts.append(self._scaled(name, np.log(screened.costs[name][places]))[:, None])
        return np.concatenate(parts, 1) if parts else np.zeros((len(places), 0))

    def _scaled(self, name: str, value: Any) -> Any:
        low, high = self._bounds[name]
        return (value - low) / (high - low)


class _Axis:
    """The columns of an axis."""

    def __init__(self, space: Space, path: str) -> None:
        axis = space.axes[path]
        choices = axis.choices
        self._places: dict[str, Sequence[float]] = {}
        self.neutral: Sequence[float]
        if space.ordered(path):
            ends = [axis.low, axis.high] if choices is None else [min(choices), max(choices)]
            self._low, self._high = (float(end) for end in ends if end is not None)
            self._log = self._low > 0 and (axis.log or self._high / self._low >= _LOG)
            self.neutral = [_NEUTRAL]
        else:
            assert choices is not None
            codes = _codes(choices)
            self._places = {json.dumps(c): code for c, code in zip(choices, codes, strict=True)}
            self.neutral = np.mean(codes, axis=0).tolist()
        self.width = len(self.neutral)

    def at(self, value: Any) -> Sequence[float]:
        if self._places:
            return self._places[json.dumps(value)]
        low, high = self._low, self._high
        if self._log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return [(value - low) / (high - low)]


def _codes(choices: Sequence[Any]) -> list[list[float]]:
    if len(choices) <= _WORDS or not all(isinstance(choice, list) for choice in choices):
        # Two different values are as far apart as the ends of a range.
        codes: Numbers = np.eye(len(choices)) / math.sqrt(2)
    else:
        sizes = [[len(choice), *_mean(choice)] for choice in choices]
        low, high = np.min(sizes, axis=0), np.max(sizes, axis=0)
        codes = (np.array(sizes) - low) / np.where(high > low, high - low, 1.0)
    columns: list[list[float]] = codes.tolist()
    return columns


def _mean(choice: list[Any]) -> list[float]:
    numbers = [entry for entry in choice if isinstance(entry, int | float)]
    return [float(np.mean(numbers)) if numbers else 0.0]
