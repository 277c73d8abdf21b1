"""A PostgreSQL server of its own, on the loopback, in a temporary folder."""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

_BINARIES = Path(
    max(glob.glob("/usr/lib/postgresql/*/bin"), default="")
    or Path(shutil.which("initdb") or "").parent
)
MISSING = (
    "psycopg is not installed"
    if find_spec("psycopg") is None
    else "no PostgreSQL server (initdb) is installed"
    if not (_BINARIES / "initdb").exists()
    else ""
)
USER, PASSWORD = "tester", "sec/ret@1"


class Server:
    """A server that runs from `start` to `stop`, any number of times; it keeps its data."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen | None = None
        self._data = folder / "data"
        # The server refuses to run as root.
        self._as: dict = {"cwd": folder}
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        word = folder / "password"
        word.write_text(PASSWORD)
        word.chmod(0o644)
        self._run(
            "initdb", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--no-locale",
            f"--username={USER}", f"--pwfile={word}", f"--pgdata={self._data}",
        )  # fmt: skip

    def url(self, database: str = "postgres", password: str = "sec%2Fret%401") -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        settings = [
            f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=",
            "fsync=off", "shared_buffers=16MB",
        ]  # fmt: skip
        options = [part for setting in settings for part in ("-c", setting)]
        with (self._data.parent / "log").open("a") as log:
            self._process = subprocess.Popen(
                [_BINARIES / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                **self._as,
            )
        ready = [_BINARIES / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        end = time.monotonic() + 30
        while subprocess.run(ready).returncode != 0:
            log_text = (self._data.parent / "log").read_text()
            assert time.monotonic() < end and self._process.poll() is None, log_text
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [_BINARIES / program, *arguments], capture_output=True, text=True, **self._as
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def running() -> Iterator[Server]:
    """A server that is stopped and removed at the end, whatever happens."""
    # Not below pytest's own folder, which only its user may enter.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Server(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
