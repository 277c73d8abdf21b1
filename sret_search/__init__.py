"""Search the family of recursive vision transformers (SReT) and measure what depth buys."""

from importlib import import_module

__version__ = "0.1.0"

_PLACES = {
    "Architecture": "sret_search.architecture",
    "SReT": "sret_search.model",
    "load": "sret_search.model",
    "load_study": "sret_search.study",
}
"""Names of the Python API, and the rooms that they are from: imported when they are asked for.
`__init__.pyi` has them for type checkers."""

__all__ = ["Architecture", "SReT", "__version__", "load", "load_study"]


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
