"""One driver for a study: the second is told who is first."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StudyHeldError(Exception):
    """Another process works on this study."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the study whose state lies in `folder`; the system lets go when this process dies.

    Raises:
        StudyHeldError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lease.json").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise StudyHeldError(_holder(file.read(), folder)) from None
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        json.dump({"pid": os.getpid(), "host": platform.node(), "since": since}, file)
        file.flush()
        yield


def _holder(text: str, folder: Path) -> str:
    try:
        holder = json.loads(text)
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return f"{folder} is held by {who}; let it finish, or stop it, then run this again"
