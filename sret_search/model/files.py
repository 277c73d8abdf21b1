"""Files of weights: their header, and messages for files that cannot be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import IO, Any

from sret_search.architecture import Architecture
from sret_search.cost import cost

_LONGEST = 100_000_000
"""Most bytes of a safetensors header, the bound of its library."""
_DEEPEST = 1_000_000
"""Most executions of an architecture that is built for a file."""


class CheckpointError(ValueError):
    """A file of weights cannot be used. The message is a line with the file, the fault and the
    remedy."""


def refusal(path: Path, error: Exception) -> str:
    """A clause that says why a file of weights was refused, and the safe remedy.

    Args:
        error: the exception of the library that refused it.

    Raises:
        OSError: the file cannot be read at all.
    """
    with path.open("rb") as file:
        wrong_kind = _in_place_of_weights(file.read(512), path.suffix)
    if wrong_kind is not None:
        return wrong_kind
    if "Weights only load failed" in str(error):
        held = re.search(r"GLOBAL ([\w.]+)", str(error))
        if held is None:
            return "it is not a file of `torch.save`, or it is damaged; copy or download it again"
        return (
            f"beside weights it holds {held[1]}, which is not read, since it may run code;"
            " if you trust the file, keep only its weights:"
            ' torch.save({"model": torch.load(FILE, weights_only=False)["model"]}, NEW)'
        )
    if isinstance(error, RuntimeError) and "zip archive" in str(error):
        return "it is cut short or damaged; copy or download it again"
    return reason(error)


def reason(error: Exception) -> str:
    """The first line of an error's message."""
    said = getattr(error, "strerror", None) or str(error)
    return next((line.strip() for line in said.splitlines() if line.strip()), type(error).__name__)


def _in_place_of_weights(begin: bytes, suffix: str) -> str | None:
    """A clause that says why a file cannot hold weights, judged by its first bytes; None if it may."""
    text = begin.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not begin:
        return "it is empty; copy or download it again"
    if text.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; `git lfs pull` in its repository fetches the weights"
    if text.startswith(b"<"):
        return "it is a web page, such as a login or error page; download it again"
    is_ours = begin[8:9] == b"{"
    is_theirs = not is_ours and begin.startswith((b"PK\x03\x04", b"\x80"))
    if suffix == ".safetensors":
        if is_theirs:
            return "it is a file of `torch.save`; name an official one as VARIANT:FILE.pth"
    elif is_ours:
        return "it is a file of safetensors; name it without a variant"
    elif not is_theirs:
        return "it is not a file of `torch.save`; copy or download it again"
    return None


def header_of(file: IO[bytes]) -> dict[str, Any]:
    """The header of an open safetensors file, which then stands at its data.

    Raises:
        ValueError: it is not a safetensors file, or it is cut short.
    """
    size = int.from_bytes(file.read(8), "little")
    text = file.read(size) if size <= _LONGEST else b""
    try:
        header = json.loads(text) if len(text) == size else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ValueError(
            "it is not a file of safetensors, or it is cut short; copy or download it again"
        )
    return header


def check_size(a: Architecture, content: int) -> None:
    """Check that an architecture is no larger than its weights, before memory is taken for it.

    Args:
        content: bytes of the weights.

    Raises:
        ValueError: it is larger, or has too many executions to be built.
    """
    known = cost(a)
    if known.params > content:
        raise ValueError(
            f"its header asks for {known.params:,} parameters, but it has {content:,} bytes of"
            " weights"
        )
    if known.executions > _DEEPEST:
        raise ValueError(
            f"its header asks for {known.executions:,} executions of blocks, and {_DEEPEST:,} is"
            " the limit"
        )
