"""Search the family of recursive vision transformers (SReT) and measure what depth buys."""

import sys
from importlib import import_module

__version__ = "0.1.0"

if getattr(sys, "argv", [])[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m` puts the working directory first in the module path. A `numpy.py` there would be
    # taken for numpy, so the directory moves to the end. Only this package may come from it.
    sys.path.append(sys.path.pop(0))

_ROOMS = {
    "Architecture": "sret_search.architecture",
    "SReT": "sret_search.model",
    "StudyError": "sret_search.study",
    "cost": "sret_search.cost",
    "load": "sret_search.model",
    "load_architecture": "sret_search.study",
    "load_study": "sret_search.study",
    "results": "sret_search.api",
    "run_study": "sret_search.api",
}
"""Names of the Python API, each with the room that holds it. A name is imported on first use.
`__init__.pyi` lists them for type checkers."""

__all__ = [
    "Architecture",
    "SReT",
    "StudyError",
    "__version__",
    "cost",
    "load",
    "load_architecture",
    "load_study",
    "results",
    "run_study",
]


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return getattr(import_module(_ROOMS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
