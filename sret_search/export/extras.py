"""Extras: packages that only some users need."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from sret_search.errors import InputError

_PACKAGES = {
    "completion": ("argcomplete",),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "hub": ("huggingface_hub",),
    "timm": ("timm",),
}


class ExtraError(ImportError, InputError):
    """An extra is not installed. The message has the command that installs it."""


def require_extra(extra: str) -> None:
    """Check that the packages of an extra are installed.

    Raises:
        ExtraError: a package is not installed.
    """
    missing = [name for name in _PACKAGES[extra] if not _is_there(name)]
    if missing:
        raise ExtraError(
            f"{_listed(missing)} not installed; install with: pip install 'sret-search[{extra}]'"
        )


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last} are" if first else f"{last} is"
