"""Nodes that fail what they are given, and get nothing more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

_IN_A_ROW = 3
"""Attempts that fail on a node one after the other, without a step, before it is left out."""


class NodeExclusion:
    """Nodes that get no attempts, since several in a row failed there without a step; and where
    each trial is not tried again.

    Args:
        nodes: those of the cluster that are alive and have what a trial takes: by id, for the
            reader.
    """

    def __init__(self, nodes: Callable[[], Mapping[str, str]]) -> None:
        self._nodes = nodes
        self._failed: Counter[str] = Counter()
        self._last: dict[int, str] = {}
        self.ids: set[str] = set()

    @property
    def suspects(self) -> bool:
        """Whether any node has failed an attempt since it last trained."""
        return bool(self._failed)

    def trains(self, node: str) -> None:
        """Take that a node has trained a trial, or a step of it."""
        self._failed.pop(node, None)

    def fails(self, node: str, number: int) -> str | None:
        """Take that an attempt failed on a node without a step; the name of the node, where it is
        left out from now on."""
        self._failed[node] += 1
        self._last[number] = node
        nodes = self._nodes()
        if self._failed[node] < _IN_A_ROW or node not in nodes or not self._others(nodes, {node}):
            return None
        self.leave(node)
        return nodes[node]

    def leave(self, node: str) -> None:
        """Give a node nothing from now on."""
        self.ids.add(node)
        self._failed.pop(node, None)

    def is_last(self, node: str) -> bool:
        """Whether a node fails all that it is given, and no other is left."""
        others = self._others(self._nodes(), {node})
        # A worker that could not say where it was can only have been on the node that is left.
        alone = len(others) <= (not node)
        return alone and self._failed[node] >= _IN_A_ROW

    def avoided(self, number: int) -> list[str]:
        """The nodes that the next attempt at a trial is not to run on: those that are left out,
        and the one on which it failed last, where there is another."""
        if not self.ids and number not in self._last:
            return []
        nodes = self._nodes()
        last = {self._last[number]} if number in self._last else set()
        avoided = last if self._others(nodes, last) else set()
        return sorted((avoided | self.ids) & nodes.keys())

    def _others(self, nodes: Mapping[str, str], without: set[str]) -> set[str]:
        return nodes.keys() - self.ids - without
