"""The ledger's database as a SQLite file in the study's folder."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from sret_search.config.problems import Problem, shown
from sret_search.machine.file_system import existing_above
from sret_search.study import Study, StudyError

REPAIR = "put a copy of it back, or start anew with --fresh, which keeps the old study aside"
"""What helps where the database is damaged."""
_PATIENCE = 60.0
"""Seconds to wait while another process writes."""

_SHARED = {
    "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "lustre", "gpfs", "ceph", "glusterfs",
    "beegfs", "afs", "openafs", "9p", "pvfs2", "orangefs", "panfs", "wekafs", "ncpfs", "davfs",
    "davfs2", "gfs2", "ocfs2", "sshfs", "s3fs", "goofys", "gcsfuse", "rclone", "juicefs",
    "blobfuse", "blobfuse2", "geesefs", "mountpoint-s3", "alluxio", "mfs", "lizardfs", "vboxsf",
    "vmhgfs", "vmhgfs-fuse", "prl_fs", "drvfs",
}  # fmt: skip
"""File systems whose files another machine may have open."""


def file(study: Study) -> Path:
    """The database of a study."""
    return study.folder / "study.db"


def check_place(study: Study) -> None:
    """See that the database can lie in the study's folder. Nothing is written or read there.

    Raises:
        StudyError: the folder is on a network file system, or it or the file may not be written.
    """
    kind = network_file_system(study.folder.resolve(), mounts())
    if kind is not None:
        raise _unfit(study, f"a network file system ({kind})")
    for path in (existing_above(study.folder), file(study)):
        if path.exists() and not os.access(path, os.W_OK):
            raise StudyError([Problem("cannot be written: no permission", path)])


def network_file_system(folder: Path, mounts: str) -> str | None:
    """The type of the file system that a folder lies on, if other machines may share it.

    Args:
        folder: an absolute path without links; it need not exist.
        mounts: the text of /proc/self/mounts.
    """
    found, deepest = "", -1
    for line in mounts.splitlines():
        point, kind = line.split(" ")[1:3]
        parts = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point)).parts
        # Of two at the same point the later one hides the earlier.
        if folder.parts[: len(parts)] == parts and len(parts) >= deepest:
            found, deepest = kind, len(parts)
    return found if found.removeprefix("fuse.") in _SHARED else None


def examine(study: Study) -> None:
    """See that the database, if there is one, is whole. A file of no bytes is a new one.

    Raises:
        StudyError: the file is no database, or a damaged one.
    """
    path = file(study)
    if not has_content(study):
        return
    unfinished = any(Path(f"{path}{end}").exists() for end in ("-wal", "-journal"))
    try:
        # A database that was closed is looked at without making the files of an open one.
        with closing(_connect(path, "mode=rw" if unfinished else "immutable=1")) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            raise StudyError([Problem(f"not a study's database ({error})", path)]) from None
        if code != sqlite3.SQLITE_CORRUPT:
            raise
        found = str(error)
    if found != "ok":
        message = f"the database is damaged ({' '.join(found.split())}): {REPAIR}"
        raise StudyError([Problem(message, path)])


def is_damage(error: BaseException | None) -> bool:
    """Whether SQLite's error is of a file that it could open, and cannot read."""
    # A text that is not UTF-8 has no code; one of the names of tables and columns that is another
    # makes an error in the statement.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    damage = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return isinstance(error, sqlite3.DatabaseError) and code in damage


def has_content(study: Study) -> bool:
    """Whether the database was ever written to."""
    return file(study).is_file() and file(study).stat().st_size > 0


def prepare(study: Study) -> None:
    """Make the database, empty, unless it is there, and let it be read while it is written.

    Raises:
        StudyError: the file system cannot do that.
    """
    study.folder.mkdir(parents=True, exist_ok=True)
    if not read_while_written(file(study)):
        raise _unfit(study, "a file system without shared memory")


def read_while_written(path: Path) -> bool:
    """Make a database, empty, unless it is there, and let it be read while it is written: whether
    its file system can do that."""
    with closing(_connect(path, "mode=rwc")) as connection:
        # The file remembers the mode.
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    return str(mode) == "wal"


def options(study: Study) -> tuple[str, dict[str, Any]]:
    """The URL of the database, which must be there, and what its engine is made with."""
    return "sqlite:///study.db", {"creator": partial(_connect, file(study).resolve(), "mode=rw")}


def _connect(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?{how}",
        timeout=_PATIENCE,
        check_same_thread=False,
        uri=True,
    )
    # What is committed outlives a power cut.
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _unfit(study: Study, where: str) -> StudyError:
    message = (
        f"lies on {where}, where SQLite's write-ahead log does not work and a study can be lost:"
        " run this where the working directory is on a local disk, or keep the study in"
        f" PostgreSQL, by this line in {shown(study.path)}:"
        " storage: {url: postgresql://USER@HOST/DATABASE}"
    )
    return StudyError([Problem(message, study.folder)])


def mounts() -> str:
    """What is mounted where on this machine, as the system tells it."""
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
