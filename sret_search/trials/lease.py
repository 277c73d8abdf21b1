"""The lease of a study: a single driver writes at a time. A second one is shown its name."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Column, Connection, DateTime, MetaData, Row, Table, Text, text
from sqlalchemy.exc import SQLAlchemyError

from sret_search.config.problems import Problem
from sret_search.study import Study, StudyError
from sret_search.trials import postgres, sqlite
from sret_search.trials.database import LedgerAwayError, explained, place, reason

_LEASES = Table(
    "sret_search_leases",
    MetaData(),
    Column("study", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
)
_WIN = text(
    "WITH won AS (SELECT pg_try_advisory_lock(:key) AS it)"
    " INSERT INTO sret_search_leases (study, holder, since)"
    " SELECT :study, :holder, now() FROM won WHERE it"
    " ON CONFLICT (study) DO UPDATE SET holder = EXCLUDED.holder, since = EXCLUDED.since"
    " RETURNING study"
)
_TRY = text("SELECT pg_try_advisory_lock(:key)")
_HELD = text(
    "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON oid = database"
    " WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() AND objsubid = 1"
    " AND datname = current_database() AND (classid::bigint << 32 | objid::bigint) = :key)"
)
_TIME = "%Y-%m-%d %H:%M:%S"
_WHO = text("SELECT holder, since FROM sret_search_leases WHERE study = :study")
_NOTICE = text(
    "SELECT set_config(name, value, false) FROM pg_settings JOIN (VALUES"
    " ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '5'),"
    " ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '20000'), ('idle_session_timeout', '0')"
    ") AS wanted (name, value) USING (name)"
)
"""Settings of the server. It notices after 20 seconds that a holder is gone without a message, and
never ends the connection of a silent holder. Settings that an older server lacks are left out."""


_LETS_GO = 10.0
"""Seconds to wait for a killed holder, whose child processes end after it."""


class StudyHeldError(Exception):
    """Another process works on this study."""

    def __init__(self, message: str, holder: int | None = None) -> None:
        super().__init__(message)
        self.holder = holder
        """The process id, if the process is on this machine."""


class HolderAwayError(StudyHeldError, LedgerAwayError):
    """The connection that held a study is gone. The study cannot be held again at the moment."""


class Lease(Protocol):
    """The right to write to a study."""

    def check(self) -> None:
        """Check that this process still holds the study. If the connection is gone, hold it again.

        Raises:
            HolderAwayError: the study cannot be held again at the moment.
            StudyHeldError: another process holds it, or held it meanwhile.
        """


@contextmanager
def hold(study: Study, holder: int | None = None) -> Iterator[Lease]:
    """Hold a study. The system or the server releases it when this process ends.

    Args:
        holder: the process id that others are shown; by default that of this process.

    Raises:
        StudyHeldError: another process holds it.
        StudyError: its folder or its server cannot be used.
    """
    kind, deadline = _File if study.file.storage.url is None else _Lock, time.monotonic() + _LETS_GO
    while True:
        try:
            lease = kind(study, holder or os.getpid())
            break
        except StudyHeldError as held:
            if held.holder is None or _lives(held.holder) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    with closing(lease):
        yield lease


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class _File:
    """A locked file in the study's folder, for a study whose database is a file."""

    def __init__(self, study: Study, holder: int) -> None:
        sqlite.check_place(study)
        self._path, self._place = study.folder / "lease.json", place(study)
        try:
            study.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+")
        except OSError as error:
            message = f"cannot be written: {error.strerror}"
            raise StudyError([Problem(message, self._path)]) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            with self._file:
                raise _held(self._place, _holder(self._file.read())) from None
        self._file.truncate(0)
        since = datetime.now().strftime(_TIME)
        json.dump({"pid": holder, "host": platform.node(), "since": since}, self._file)
        self._file.flush()

    def check(self) -> None:
        # The lock lasts until this process ends, but the file may have been deleted or replaced.
        with suppress(FileNotFoundError):
            if os.path.samestat(self._path.stat(), os.fstat(self._file.fileno())):
                return
        raise StudyHeldError(f"{self._path}, which held the study, was deleted or replaced")

    def close(self) -> None:
        self._file.close()


class _Lock:
    """A lock in the server, which lasts as long as the connection that took it."""

    def __init__(self, study: Study, holder: int) -> None:
        self._place = place(study)
        self._gone = f"the connection that held {self._place} is gone (it was closed)"
        digest = hashlib.sha256(f"sret_search {study.name}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        who = f"process {holder} on {platform.node()}"
        self._study = {"study": study.name, "holder": who, "key": self._key}
        with explained(study):
            self._engine = postgres.server(study)
            self._connection = self._connected()
            try:
                with postgres.making_tables(self._connection):
                    _LEASES.create(self._connection, checkfirst=True)
                if self._connection.execute(_WIN, self._study).first() is None:
                    raise _held(self._place, self._who())
                self._since = self._row()
            except BaseException:
                self.close()
                raise

    def check(self) -> None:
        try:
            if self._connection.execute(_HELD, {"key": self._key}).scalar_one():
                return
            who = self._who()
        except SQLAlchemyError as error:
            if not self._connection.closed:  # else the reason is known already
                self._gone = f"the connection that held {self._place} is gone ({reason(error)})"
            self._hold_again(self._gone)
            return
        raise StudyHeldError(f"{self._place} was taken over by {who}")

    def _hold_again(self, gone: str) -> None:
        """Hold the study with another connection, if no other process has held it meanwhile.

        Raises:
            HolderAwayError: it cannot be held at the moment.
            StudyHeldError: another process held it meanwhile.
        """
        try:
            self.close()
            self._connection = self._connected()
            is_free = self._connection.execute(_TRY, {"key": self._key}).scalar_one()
            is_ours = self._row() == self._since
            who = self._who()
        except SQLAlchemyError:
            raise HolderAwayError(gone) from None
        if not is_ours:
            self.close()
            raise StudyHeldError(f"{gone}, and {who} held it after that")
        if not is_free:
            # The server has not noticed yet that the first connection is gone.
            raise HolderAwayError(gone)

    def _connected(self) -> Connection:
        connection = self._engine.connect()
        try:
            connection.execute(_NOTICE)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        self._connection.close()

    def _row(self) -> Row[Any] | None:
        return self._connection.execute(_WHO, self._study).first()

    def _who(self) -> str:
        row = self._row()
        if row is None:
            return "another process"
        return f"{row.holder} since {row.since.astimezone().strftime(_TIME)}"


def _held(where: str, who: str) -> StudyHeldError:
    here = re.match(rf"process (\d+) on {re.escape(platform.node())} since ", who)
    return StudyHeldError(
        f"{where} is held by {who}; let it finish, or stop it, then run this again",
        int(here[1]) if here else None,
    )


def _holder(text: str) -> str:
    """The holder of a study, from the text of its file."""
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
