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
"""Advice for a damaged database."""
_PATIENCE = 60.0
"""Seconds to wait while another process writes."""

_SHARED = {
    "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "lustre", "gpfs", "ceph", "glusterfs",
    "beegfs", "afs", "openafs", "9p", "pvfs2", "orangefs", "panfs", "wekafs", "ncpfs", "davfs",
    "davfs2", "gfs2", "ocfs2", "sshfs", "s3fs", "goofys", "gcsfuse", "rclone", "juicefs",
    "blobfuse", "blobfuse2", "geesefs", "mountpoint-s3", "alluxio", "mfs", "lizardfs", "vboxsf",
    "vmhgfs", "vmhgfs-fuse", "prl_fs", "drvfs",
}  # fmt: skip
"""Types of file systems whose files another machine may have open."""


def file(study: Study) -> Path:
    """Path of the database of a study."""
    return study.folder / "study.db"


def check_place(study: Study) -> None:
    """Check that the database can be kept in the study's folder. Nothing is written or read there.

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
    """The type of the file system of a folder, if other machines may share it; else None.

    Args:
        folder: an absolute path without links. It need not exist.
        mounts: the text of /proc/self/mounts.
    """
    nearest, deepest = "", -1
    for line in mounts.splitlines():
        point, kind = line.split(" ")[1:3]
        parts = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point)).parts
        # Of two mounts at the same point, the later hides the earlier.
        if folder.parts[: len(parts)] == parts and len(parts) >= deepest:
            nearest, deepest = kind, len(parts)
    return nearest if nearest.removeprefix("fuse.") in _SHARED else None


def examine(study: Study) -> None:
    """Check that the database, if it exists, is undamaged. An empty file counts as new.

    Raises:
        StudyError: the file is no database, or a damaged one.
    """
    path = file(study)
    if not has_content(study):
        return
    unfinished = any(Path(f"{path}{end}").exists() for end in ("-wal", "-journal"))
    try:
        # A closed database is checked without creating the files of an open one.
        with closing(_connect(path, "mode=rw" if unfinished else "immutable=1")) as connection:
            (state,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            raise StudyError([Problem(f"not a study's database ({error})", path)]) from None
        if code != sqlite3.SQLITE_CORRUPT:
            raise
        state = str(error)
    if state != "ok":
        message = f"the database is damaged ({' '.join(state.split())}): {REPAIR}"
        raise StudyError([Problem(message, path)])


def is_damage(error: BaseException | None) -> bool:
    """Whether SQLite could open the file of a database, but cannot read it."""
    # Text that is not UTF-8 has no code. A damaged name of a table or column gives an error in the
    # statement.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    damage = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return isinstance(error, sqlite3.DatabaseError) and code in damage


def has_content(study: Study) -> bool:
    """Whether the database has content."""
    return file(study).is_file() and file(study).stat().st_size > 0


def prepare(study: Study) -> None:
    """Make an empty database if there is none, and allow reading while it is written.

    Raises:
        StudyError: the file system does not support this.
    """
    study.folder.mkdir(parents=True, exist_ok=True)
    if not read_while_written(file(study)):
        raise _unfit(study, "a file system without shared memory")


def read_while_written(path: Path) -> bool:
    """Make an empty database if there is none, and allow reading while it is written.

    Returns:
        Whether the file system supports this.
    """
    with closing(_connect(path, "mode=rwc")) as connection:
        # The file keeps this mode.
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    return str(mode) == "wal"


def options(study: Study) -> tuple[str, dict[str, Any]]:
    """The URL of an existing database, and the options of its engine."""
    return "sqlite:///study.db", {"creator": partial(_connect, file(study).resolve(), "mode=rw")}


def _connect(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?{how}",
        timeout=_PATIENCE,
        check_same_thread=False,
        uri=True,
    )
    # Committed data survive a power cut.
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
    """The text of /proc/self/mounts with the mounted file systems; empty if unknown."""
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
