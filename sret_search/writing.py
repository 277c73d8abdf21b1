"""Files that are written: completely or not at all, as JSON, or as the text of a YAML file."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ruamel.yaml import YAML

from sret_search.errors import chain

_WIDTH = 100

_BLOCK = 2**16
"""Free bytes below which a failed write counts as a full disk."""


def write_whole(
    path: Path, content: bytes | Callable[[IO[bytes]], object], *, shared: bool = False
) -> None:
    """Write a file beside the target, force it to disk, then rename it. Readers see all of it or
    nothing, even if the process is killed while it writes.

    Args:
        content: what the file holds, or a function that writes it into an open file.
        shared: several processes may write this file at the same time; the last one counts.

    Raises:
        OSError: it cannot be written, and nothing of it is left. If the disk or the user's quota is
            full, errno says so, even if the writer raised another error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = f".{os.getpid()}.partial" if shared else ".partial"
    partial = path.with_name(path.name + mark)
    try:
        with partial.open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except Exception as error:
        full = _why_full(error, path.parent)
        with suppress(OSError):
            partial.unlink()
        if full is not None:
            raise OSError(full, os.strerror(full), str(path)) from error
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def full_disk(error: BaseException) -> OSError | None:
    """The system's error of a full disk, if it is behind an error; None otherwise."""
    for behind in chain(error):
        if isinstance(behind, OSError) and behind.errno in (errno.ENOSPC, errno.EDQUOT):
            return behind
    return None


def _why_full(error: Exception, folder: Path) -> int | None:
    """The errno of a full disk or quota behind an error; None if there is room."""
    system_error = full_disk(error)
    if system_error is not None:
        return system_error.errno
    # torch raises its own error, and not always with the system's error behind it.
    writing = isinstance(error, RuntimeError) and shutil.disk_usage(folder).free < _BLOCK
    return errno.ENOSPC if writing else None


def write_json(path: Path, content: Any) -> None:
    """Write plain data as JSON, completely or not at all."""
    write_whole(path, json.dumps(content, indent=1).encode())


def yaml_text(plain: Mapping[str, Any], *, inline: bool = False) -> str:
    """A mapping as YAML, with its keys in their given order.

    Args:
        inline: write lists and mappings without inner ones on a single line.
    """
    yaml, text = YAML(typ="safe"), io.StringIO()
    yaml.default_flow_style, yaml.width = None if inline else False, _WIDTH
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(dict(plain), text)
    return text.getvalue()
