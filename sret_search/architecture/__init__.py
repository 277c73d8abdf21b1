"""An architecture of the SReT family, as plain frozen data. Imports neither torch nor ray."""

from sret_search.architecture.network import Architecture, ArchitectureError, Execution, tuples
from sret_search.architecture.parts import NLL, Loop, Permutation, Relax, Residual, Stage

__all__ = [
    "NLL",
    "Architecture",
    "ArchitectureError",
    "Execution",
    "Loop",
    "Permutation",
    "Relax",
    "Residual",
    "Stage",
    "tuples",
]
