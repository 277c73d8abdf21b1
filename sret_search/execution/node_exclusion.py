"""Exclusion of nodes on which attempts fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

_IN_A_ROW = 3
"""Consecutive failures on a node, without a training step, before it is excluded."""


class NodeExclusion:
    """Nodes that get no attempts, since several in a row failed there without a step.

    For each trial it also stores the node of its last failure, so that the next attempt runs
    elsewhere.

    Args:
        nodes: returns the names of living nodes with the resources of a trial, by id.
    """

    def __init__(self, nodes: Callable[[], Mapping[str, str]]) -> None:
        self._nodes = nodes
        self._failed: Counter[str] = Counter()
        self._last: dict[int, str] = {}
        self.ids: set[str] = set()

    @property
    def suspects(self) -> bool:
        """Whether an attempt has failed on any node since that node last trained."""
        return bool(self._failed)

    def trains(self, node: str) -> None:
        """Record that a node has trained a trial, or a step of it."""
        self._failed.pop(node, None)

    def fails(self, node: str, number: int) -> str | None:
        """Record that an attempt failed on a node without a step.

        Returns:
            The name of the node if it is excluded from now on, else None.
        """
        self._failed[node] += 1
        self._last[number] = node
        nodes = self._nodes()
        if self._failed[node] < _IN_A_ROW or node not in nodes or not self._others(nodes, {node}):
            return None
        self.leave(node)
        return nodes[node]

    def leave(self, node: str) -> None:
        """Exclude a node."""
        self.ids.add(node)
        self._failed.pop(node, None)

    def is_last(self, node: str) -> bool:
        """Whether attempts fail on a node, and no other node is left."""
        others = self._others(self._nodes(), {node})
        # An attempt from an unknown node must have run on the only node that is left.
        alone = len(others) <= (not node)
        return alone and self._failed[node] >= _IN_A_ROW

    def avoided(self, number: int) -> list[str]:
        """Ids of the nodes on which the next attempt at a trial must not run.

        They are the excluded nodes, and the node of its last failure if there is another node.
        """
        if not self.ids and number not in self._last:
            return []
        nodes = self._nodes()
        last = {self._last[number]} if number in self._last else set()
        avoided = last if self._others(nodes, last) else set()
        return sorted((avoided | self.ids) & nodes.keys())

    def _others(self, nodes: Mapping[str, str], without: set[str]) -> set[str]:
        return nodes.keys() - self.ids - without
