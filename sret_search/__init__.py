"""Search the family of recursive vision transformers (SReT) and measure what depth buys."""

import sys
from importlib import import_module

__version__ = "0.1.0"

if getattr(sys, "argv", [])[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m` looks into the working directory before all that is installed: a `numpy.py` that
    # lies there would be taken for numpy. Here only this package may come from there.
    sys.path.append(sys.path.pop(0))

_PLACES = {
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
"""Names of the Python API, and the rooms that they are from: imported when they are asked for.
`__init__.pyi` has them for type checkers."""

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
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
