"""Files of weights: the header of one, and what is said of one that cannot be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import IO, Any

from sret_search.architecture import Architecture
from sret_search.cost import cost

_LONGEST = 100_000_000
"""Bytes of a header of safetensors, as its own library bounds them."""
_DEEPEST = 1_000_000
"""Executions of an architecture that is built for a file."""


class CheckpointError(ValueError):
    """A file of weights is not what it should be: one line that names the file, and what does not
    fit or what to do."""


def refusal(path: Path, error: Exception) -> str:
    """Explain in one clause why a file of weights was refused, and which way on is safe.

    Raises:
        OSError: the file cannot be read at all.
    """
    with path.open("rb") as file:
        what = _in_place_of_weights(file.read(512), path.suffix)
    if what is not None:
        return what
    if "Weights only load failed" in str(error):
        held = re.search(r"GLOBAL ([\w.]+)", str(error))
        if held is None:
            return "it is no file of `torch.save`, or a damaged one; copy or download it again"
        return (
            f"beside weights it holds {held[1]}, which is not read, since such a thing may run code;"
            " who trusts the file can keep its weights alone:"
            ' torch.save({"model": torch.load(FILE, weights_only=False)["model"]}, NEW)'
        )
    if isinstance(error, RuntimeError) and "zip archive" in str(error):
        return "it is cut short or damaged; copy or download it again"
    return reason(error)


def reason(error: Exception) -> str:
    """The first line of what went wrong."""
    said = getattr(error, "strerror", None) or str(error)
    return next((line.strip() for line in said.splitlines() if line.strip()), type(error).__name__)


def _in_place_of_weights(begin: bytes, suffix: str) -> str | None:
    """Explain, by its beginning, that a file has no weights of this kind; None where it may."""
    text = begin.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not begin:
        return "it is empty; copy or download it again"
    if text.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; `git lfs pull` where it is from fetches the weights"
    if text.startswith(b"<"):
        return "it is a web page, such as one of a login or an error; download it again"
    is_ours = begin[8:9] == b"{"
    is_theirs = not is_ours and begin.startswith((b"PK\x03\x04", b"\x80"))
    if suffix == ".safetensors":
        if is_theirs:
            return "it is a file of `torch.save`; official ones are named VARIANT:FILE.pth"
    elif is_ours:
        return "it is a file of safetensors; name it as such, without a variant"
    elif not is_theirs:
        return "it is no file of `torch.save`; copy or download it again"
    return None


def header_of(file: IO[bytes]) -> dict[str, Any]:
    """The header of an open file of safetensors, which then stands at its data.

    Raises:
        ValueError: it is no such file, or cut short.
    """
    size = int.from_bytes(file.read(8), "little")
    text = file.read(size) if size <= _LONGEST else b""
    try:
        header = json.loads(text) if len(text) == size else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ValueError("it is no file of safetensors, or cut short; copy or download it again")
    return header


def check_size(a: Architecture, content: int) -> None:
    """See that an architecture is no larger than the weights that come with it, before memory is
    taken for it.

    Args:
        content: bytes of the weights.

    Raises:
        ValueError: it is larger, or runs its blocks too often to be built.
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
            " the most"
        )
