"""What an architecture costs, in closed form. Imports neither torch nor ray."""

import sys
from types import ModuleType

from sret_search.architecture import Architecture
from sret_search.cost.count import MACS, PARAMS, Cost, cost
from sret_search.cost.memory import (
    MEMORY_BUDGET,
    Segments,
    TrainMemory,
    recomputes,
    segments,
    train_memory,
)
from sret_search.cost.runs import params_by_runs

__all__ = [
    "MACS",
    "MEMORY_BUDGET",
    "PARAMS",
    "Cost",
    "Segments",
    "TrainMemory",
    "cost",
    "params_by_runs",
    "recomputes",
    "segments",
    "train_memory",
]


class _Room(ModuleType):
    """`sret_search.cost` is this room, and in the Python API the function of that name: either
    import of it gives both."""

    def __call__(self, a: Architecture) -> Cost:
        return cost(a)


sys.modules[__name__].__class__ = _Room
