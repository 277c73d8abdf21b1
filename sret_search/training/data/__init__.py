"""Data sets in three parts, in memory or streamed from their files."""

from sret_search.training.data.errors import DataError
from sret_search.training.data.memory import MemoryPart
from sret_search.training.data.overlap import difference, overlap, same_folds, same_set
from sret_search.training.data.parts import Part
from sret_search.training.data.split import Split, check, check_unchanged, load
from sret_search.training.data.streams import StreamPart, data_workers, no_workers

__all__ = [
    "DataError",
    "MemoryPart",
    "Part",
    "Split",
    "StreamPart",
    "check",
    "check_unchanged",
    "data_workers",
    "difference",
    "load",
    "no_workers",
    "overlap",
    "same_folds",
    "same_set",
]
