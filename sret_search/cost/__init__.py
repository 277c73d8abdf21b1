"""Costs of an architecture, in closed form. Imports neither torch nor ray."""

import sys
from types import ModuleType

from sret_search.architecture import Architecture
from sret_search.cost.backprop import Reach, backward_macs, reach
from sret_search.cost.count import MACS, PARAMS, Cost, cost, params_by_runs
from sret_search.cost.memory import (
    MEMORY_BUDGET,
    Segments,
    TrainMemory,
    recomputes,
    segments,
    train_memory,
)
from sret_search.cost.storage import stored_bytes

__all__ = [
    "MACS",
    "MEMORY_BUDGET",
    "PARAMS",
    "Cost",
    "Reach",
    "Segments",
    "TrainMemory",
    "backward_macs",
    "cost",
    "params_by_runs",
    "reach",
    "recomputes",
    "segments",
    "stored_bytes",
    "train_memory",
]


class _Room(ModuleType):
    """Package that can be called as the function `cost`.

    In the Python API, `sret_search.cost` is both this package and that function.
    """

    def __call__(self, a: Architecture) -> Cost:
        return cost(a)


sys.modules[__name__].__class__ = _Room
