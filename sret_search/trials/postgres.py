"""The ledger's database on a PostgreSQL server, which several studies may share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError

from sret_search.config.addresses import is_shown, masked_value, without
from sret_search.study import Study, StudyError

_CONNECTION = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Settings of connections: a server that is gone without a message is noticed after 20 seconds."""

_AWAY_CLASSES = ("08", "57")
"""SQLSTATE classes of connection errors, and of a server that shuts down, has crashed or starts."""
_TOO_MANY = "53300"
_AWAY = (
    "starting up", "shutting down", "recovery", "too many", "remaining connection slots",
    "terminating connection",
)  # fmt: skip
"""Messages of a server that runs, but takes no connections at the moment."""
_UNREACHABLE = (
    "Connection refused", "Connection reset", "timeout", "timed out", "server closed", "No route",
    "unreachable", "Temporary failure", "Broken pipe", "EOF", "connection is closed",
    "connection is lost", "could not receive data", "could not send data", "is the server running",
)  # fmt: skip

_MAKING = 0x73726574
"""The advisory lock for making tables. Two processes that make tables at once fail."""


def options(study: Study) -> tuple[str, dict[str, Any]]:
    """The URL of the database with its password, and the options of its engine.

    Raises:
        StudyError: the URL is not valid.
    """
    url = _url(study)
    given = {name: value for name, value in _CONNECTION.items() if name not in url.query}
    return url.render_as_string(hide_password=False), {
        "connect_args": given,
        "pool_pre_ping": True,
    }


def server(study: Study) -> Engine:
    """Make an engine whose connections are not pooled and commit every statement.

    Raises:
        StudyError: the URL is not valid.
        ImportError: the driver is missing.
    """
    url, others = options(study)
    others |= {"poolclass": NullPool, "pool_pre_ping": False, "isolation_level": "AUTOCOMMIT"}
    return create_engine(url, **others)


def is_away(error: BaseException | None) -> bool:
    """Whether a server cannot be reached at the moment, or takes no more connections.

    It may answer later without a change here.
    """
    import psycopg

    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    if error.sqlstate is not None:
        return error.sqlstate[:2] in _AWAY_CLASSES or error.sqlstate == _TOO_MANY
    # Errors while a connection is made have no code.
    message = str(error)
    return any(word in message for word in (_AWAY if "FATAL" in message else _UNREACHABLE))


def without_secrets(study: Study, text: str) -> str:
    """A text of the server or its driver, without the secrets in the URL of the database."""
    try:
        url = _url(study)
    except StudyError:
        return text
    given = [url.password or ""]
    for name, value in url.query.items():
        if not is_shown(name):
            given += [value] if isinstance(value, str) else value
    for secret in given:
        text = without(secret, text)
    return text


@contextmanager
def making_tables(connection: Connection) -> Iterator[None]:
    """Hold the advisory lock for making tables in this database. After an error, the end of the
    connection releases it."""
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MAKING})
    yield
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MAKING})


def _url(study: Study) -> URL:
    given = study.file.storage.url
    assert given is not None
    try:
        url = make_url(given)
        # With an @ in a parameter, the parser takes the host as part of the user.
        cut = (url.password or "").partition("?")[2]
        if "@" not in (url.host or "") and "=" not in cut:
            return url.set(drivername="postgresql+psycopg")
        wrong = "an @ in a password is written %40"
        if "=" in cut:
            wrong = "an @ in a password or a parameter is written %40, and a ? is written %3F"
    except (ArgumentError, ValueError):
        wrong = "postgresql://USER@HOST:PORT/DATABASE is needed"
    message = f"{wrong}, but got {masked_value(given)}"
    raise StudyError([study.source.problem(("storage", "url"), message)])
