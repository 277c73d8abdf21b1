"""Opening the database of the ledger: a SQLite file beside the trials, or a PostgreSQL server."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from alembic.migration import MigrationContext
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Engine, NullPool, create_engine, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)

from sret_search.config.addresses import masked, masked_value
from sret_search.config.problems import Problem
from sret_search.study import Study, StudyError
from sret_search.study.description import StudyDescription
from sret_search.trials import compatibility, postgres, sqlite, study_attributes
from sret_search.trials.digests import DamagedError

_DIRECTIONS: dict[str, Literal["maximize", "minimize"]] = {"max": "maximize", "min": "minimize"}
_ANY = text("SELECT 1 FROM trials WHERE study_id = :study LIMIT 1")


class LedgerLostError(Exception):
    """The database can no longer be reached or written."""


class LedgerAwayError(LedgerLostError):
    """The server cannot be reached at the moment. It is not known whether it has the last write."""


class DatabaseAwayError(StudyError):
    """A study cannot be opened, because the server of its database is away or full."""


class DiskFullError(Exception):
    """The disk of the database is full. The same write can be repeated."""


def open_storage(study: Study) -> RDBStorage:
    """Open the database of a study to write to it. Missing parts are made.

    Raises:
        StudyError: the file or the server cannot be used. Nothing in it was changed.
    """
    with explained(study):
        if study.file.storage.url is not None:
            with postgres.server(study).connect() as connection, postgres.making_tables(connection):
                return _open(study, *postgres.options(study), create=True)
        sqlite.check_place(study)
        sqlite.examine(study)
        sqlite.prepare(study)
        return _open(study, *sqlite.options(study), create=True)


def read_storage(study: Study) -> RDBStorage:
    """Open the database of a study that has run, to read it. Nothing is made.

    Raises:
        StudyError: the study has not run, or the file or the server cannot be used.
    """
    with explained(study):
        if study.file.storage.url is not None:
            return _open(study, *postgres.options(study), create=False)
        if not sqlite.has_content(study):
            raise _nothing(study)
        sqlite.check_place(study)
        sqlite.examine(study)
        return _open(study, *sqlite.options(study), create=False)


def stored_study(storage: RDBStorage, study: Study) -> tuple[optuna.Study, StudyDescription | None]:
    """The study in a database, and its description before this run. A missing study is made, and
    has no description.

    Raises:
        StudyError: the stored trials cannot be compared with new ones, another version wrote them,
            or the database is damaged.
    """
    names = _names(storage, study)
    if study.name in names:
        with undamaged(study):
            stored = optuna.load_study(storage=storage, study_name=study.name)
            before = study_attributes.read(stored.user_attrs, place(study)).description
        with storage.engine.connect() as connection:
            begun = connection.execute(_ANY, {"study": stored._study_id}).first()
        if before is None and begun:
            raise damaged(study, "it has trials, and nothing of what they are of")
        if before is not None and begun:
            compatibility.refuse_incomparable(study, before)
            return stored, before
        # No trial has begun, so none is deleted. The objectives may have changed.
        optuna.delete_study(study_name=study.name, storage=storage)
    elif names and study.file.storage.url is None:
        raise damaged(study, f"it has the study {', '.join(names)} in place of {study.name}")
    stored = optuna.create_study(
        storage=storage,
        study_name=study.name,
        directions=[_DIRECTIONS[d] for d in study.file.objectives.values()],
    )
    stored.set_metric_names(list(study.file.objectives))
    return stored, None


def set_aside(study: Study, name: str) -> bool:
    """Rename the study in a database that it shares with others. Returns whether it was there.

    A study in a file is set aside with its folder, so nothing is done here.

    Raises:
        StudyError: the server cannot be used, or has a study of that name.
    """
    if study.file.storage.url is None:
        return False
    rename = text("UPDATE studies SET study_name = :name WHERE study_name = :study")
    with explained(study):
        engine = postgres.server(study)
        if _version(engine) is None:
            return False
        try:
            with engine.connect() as connection:
                renamed = connection.execute(rename, {"name": name, "study": study.name})
        except IntegrityError:
            raise StudyError(f"{place(study)}: there is a study {name} already") from None
        return renamed.rowcount == 1


def erase(storage: RDBStorage) -> None:
    """Remove overwritten data from a SQLite file. A server does so by itself, later."""
    if storage.engine.dialect.name != "sqlite":
        return
    with storage.engine.connect() as connection:
        alone = connection.execution_options(isolation_level="AUTOCOMMIT")
        alone.execute(text("VACUUM"))
        alone.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))


def place(study: Study) -> str:
    """The place of a study's ledger, in words and without a password."""
    if study.file.storage.url is None:
        return str(study.folder)
    return f"study {study.name} in {masked_value(study.file.storage.url)}"


@contextmanager
def writing(folder: Path = Path("runs")) -> Iterator[None]:
    """Write to the database.

    Args:
        folder: a folder on the disk of a SQLite file. After an error a file is written there, to
            distinguish a full disk from a broken one.

    Raises:
        DiskFullError: the disk is full. The same write can be repeated.
        LedgerAwayError: the server cannot be reached at the moment.
        LedgerLostError: the database is gone. It is not known whether it has this write.
    """
    try:
        yield
    except (StorageInternalError, DBAPIError) as error:
        cause = error if isinstance(error, DBAPIError) else error.__cause__
        if not isinstance(cause, DBAPIError):
            raise
        if _is_full(cause, folder):
            raise DiskFullError(
                f"the disk of the study's database is full ({reason(cause)})"
            ) from None
        lost = isinstance(cause, OperationalError | InterfaceError) or type(cause) is DatabaseError
        if lost or cause.connection_invalidated:
            raise _lost(cause, away=is_away(cause)) from None
        raise


@contextmanager
def undamaged(study: Study) -> Iterator[None]:
    """Read the data of a study from the database.

    Raises:
        StudyError: the data differ from those that were written.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        problem = f"{error}" if isinstance(error, DamagedError) else "its rows cannot be read"
        raise damaged(study, problem) from None
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error if isinstance(error, DBAPIError) else error.__cause__
        if not isinstance(cause, DBAPIError) or not sqlite.is_damage(cause.orig):
            raise
        raise damaged(study, reason(error)) from None


def damaged(study: Study, problem: str) -> StudyError:
    """The error for a database whose data differ from those that were written."""
    return _refused_as(study, f"the database is damaged ({problem}): {sqlite.REPAIR}")


@contextmanager
def explained(study: Study) -> Iterator[None]:
    """Turn errors that prevent the opening of a database into errors of one line.

    Raises:
        DatabaseAwayError: opening may succeed later.
        StudyError: the database cannot be opened.
    """
    try:
        yield
    except ImportError:
        missing = "the driver psycopg is missing: pip install 'sret-search[postgres]'"
        raise _refused(study, missing) from None
    except (
        SQLAlchemyError, StorageInternalError, LedgerLostError, sqlite3.Error, OSError
    ) as error:  # fmt: skip
        refused = _refused(study, reason(error))
        if is_away(error):
            raise DatabaseAwayError(refused.problems) from None
        raise refused from None


def _open(study: Study, url: str, options: dict[str, Any], *, create: bool) -> RDBStorage:
    engine = create_engine(url, **options)
    try:
        made = _version(engine) is not None
    finally:
        engine.dispose()
    if not made and not create:
        raise _nothing(study)
    template = url.replace("{", "{{").replace("}", "}}")
    if not made:
        # Without a pool, no connection stays open if this fails.
        RDBStorage(template, options | {"poolclass": NullPool})
    # The versions are compared below. Otherwise Optuna would first add its tables to those of a
    # newer version.
    storage = RDBStorage(template, options, True, skip_table_creation=True)
    event.listen(storage.engine, "handle_error", _give_up)
    try:
        if storage.get_current_version() != storage.get_head_version():
            raise _refused(
                study,
                f"its tables, version {storage.get_current_version()}, are not those of Optuna"
                f" {optuna.__version__}, version {storage.get_head_version()}:"
                " install the Optuna that made them, or a newer one",
            )
        if not create and study.name not in _names(storage, study):
            raise _nothing(study)
    except BaseException:
        storage.remove_session()
        storage.engine.dispose()
        raise
    return storage


def _version(engine: Engine) -> str | None:
    """The version of Optuna's tables; None before all of them are made."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _give_up(context: ExceptionContext) -> None:
    """Raise LedgerLostError after a lost connection. Otherwise Optuna would create the trial again,
    although the server may already have it."""
    error = context.original_exception
    # SQLAlchemy counts an interrupt as a lost connection, too.
    if context.is_disconnect and not context.is_pre_ping and isinstance(error, Exception):
        raise _lost(error, away=not isinstance(error, sqlite3.Error)) from None


def _names(storage: RDBStorage, study: Study) -> list[str]:
    """Names of the studies in a database."""
    with undamaged(study):
        return [summary.study_name for summary in storage.get_all_studies()]


def _refused(study: Study, why: str) -> StudyError:
    return _refused_as(study, f"the database cannot be used: {why}")


def _refused_as(study: Study, message: str) -> StudyError:
    url = study.file.storage.url
    if url is None:
        return StudyError([Problem(message, sqlite.file(study))])
    refusal = postgres.without_secrets(study, message).removeprefix("the database ")
    message = f"the database {masked_value(url)} {refusal}"
    return StudyError([study.source.problem(("storage", "url"), message)])


def _nothing(study: Study) -> StudyError:
    return StudyError(f"{place(study)} has no study yet; run it first")


def is_away(error: BaseException) -> bool:
    """Whether the error means that a server cannot be reached at the moment."""
    if isinstance(error, LedgerAwayError):
        return True
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    return error.connection_invalidated or postgres.is_away(error.orig)


def _lost(error: BaseException, *, away: bool) -> LedgerLostError:
    kind = LedgerAwayError if away else LedgerLostError
    return kind(f"the study's database is lost: {reason(error)}")


def reason(error: BaseException) -> str:
    """The most informative line of an error, without SQL and passwords."""
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    source = (error.orig if isinstance(error, DBAPIError) else None) or error
    lines = [line for line in str(source).splitlines() if line.strip()] or [type(source).__name__]
    line = next((line for line in lines if "FATAL" in line), lines[0])
    return masked(" ".join(line.split()).removeprefix("connection failed: "))


def _is_full(error: DBAPIError, folder: Path) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_IOERR:
        return not _has_room(folder)
    return code == sqlite3.SQLITE_FULL or getattr(error.orig, "sqlstate", None) == "53100"


def _has_room(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno not in (errno.ENOSPC, errno.EDQUOT)
    return True
