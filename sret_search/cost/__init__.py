"""What an architecture costs, in closed form. Imports neither torch nor ray."""

from sret_search.cost.count import MACS, PARAMS, Cost, cost
from sret_search.cost.memory import (
    MEMORY_BUDGET,
    Segments,
    TrainMemory,
    recomputes,
    segments,
    train_memory,
)

__all__ = [
    "MACS",
    "MEMORY_BUDGET",
    "PARAMS",
    "Cost",
    "Segments",
    "TrainMemory",
    "cost",
    "recomputes",
    "segments",
    "train_memory",
]
