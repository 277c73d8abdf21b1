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
