"""Connection to Ray during a run: a private Ray on this machine, or an existing cluster."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sret_search
from sret_search.artifacts.names import HANG
from sret_search.config.problems import shown
from sret_search.errors import encodable
from sret_search.execution import local_ray, nodes, signals
from sret_search.machine import allocator
from sret_search.study import Study, StudyError
from sret_search.terminal import quiet
from sret_search.trials import failures

_ENVIRONMENT = {
    "MALLOC_CONF": allocator.SETTINGS,
    "RAY_LD_PRELOAD_ON_WORKERS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_STATE_REFRESH_PERIOD": "3600",
    "TUNE_WARN_THRESHOLD_S": "60",
}
"""Settings that Ray reads when it is imported, here and in its workers. Under `uv run` Ray would
copy the working directory with all data to its workers. They use the present environment
instead.

Ray preloads jemalloc into its own processes. With RAY_LD_PRELOAD_ON_WORKERS workers keep it."""

_STORES = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")
"""Variables that say where an object store is. Tune itself passes the keys to its workers."""

_REACH = 10.0
"""Seconds that a cluster has to answer."""

_PREFIX, _LOCK = "sret-", "driver.lock"
_LONGEST = 25
"""Longest path of the system's temporary folder, in characters. The path of a Unix socket may have
107, of which names below that folder take up to 82."""

_TOKEN = (
    "it asks for a token: set RAY_AUTH_MODE=token and put the token of its nodes into"
    " ~/.ray/auth_token or RAY_AUTH_TOKEN"
)
_STRANGER = "this machine is not one of its nodes; first run here: ray start --address={address}"


@contextmanager
def connected(study: Study) -> Iterator[Path]:
    """Start Ray, or join a cluster. Afterwards shut it down, or leave the cluster.

    A Ray that is started here listens only on the loopback interface and asks for a secret token.
    Workers of a cluster get a copy of this package, and work in the same working directory if they
    see it. Ray must not have been imported before.

    Yields:
        A folder for Tune's files. It is removed afterwards. Folders that dead drivers left are
        removed first.

    Raises:
        StudyError: the cluster does not exist, does not answer, or does not accept this machine.
        NotStartedError, CannotStartError: Ray does not start on this machine.
    """
    _prepare()
    with _folder() as folder, quiet():
        address = study.file.compute.address
        try:
            if address == "local":
                local_ray.start(folder / "ray")
                _silence()
            else:
                _join(study, address, folder)
            yield folder / "tune"
        finally:
            local_ray.end()


def try_out() -> None:
    """Start a Ray on this machine as a study does, let a worker answer, and shut it down.

    Raises:
        NotStartedError: Ray or its workers do not start.
    """
    _prepare()
    with _folder() as folder:
        try:
            local_ray.start(folder / "ray")
            import ray

            pending = ray.remote(num_cpus=0, max_retries=0)(nodes.look).remote(None, None, "")
            problem = nodes.answer(pending)
            if problem:
                raise local_ray.NotStartedError(f"Ray {problem}")
        finally:
            local_ray.end()


def hung(pid: int) -> str | None:
    """The error of Ray's workers in a process that was ended because Ray did not start.

    Args:
        pid: of the process, which has ended.

    Returns:
        None if the error is unknown.
    """
    for lock in Path(_parent()).glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError):
            folder = lock.parent
            if lock.read_text().strip() == str(pid) and (folder / HANG).stat().st_size:
                log = folder / "ray" / "session_latest" / "logs" / "raylet.err"
                return failures.raised(log.read_text(errors="replace"))
    return None


def _prepare() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if os.path.expanduser("~").startswith("~"):
        # Ray cannot be imported without a home folder. In this one nothing can be written.
        os.environ["HOME"] = os.devnull


def _join(study: Study, address: str, folder: Path) -> None:
    reason = _unreachable(address)
    if reason is None:
        os.environ.setdefault("RAY_gcs_server_request_timeout_seconds", f"{_REACH:g}")
        import ray

        runtime: dict[str, Any] = {
            "py_modules": [str(Path(sret_search.__file__).parent)],
            "excludes": ["__pycache__"],
            "env_vars": {
                name: os.environ[name] for name in (*_ENVIRONMENT, *_STORES) if name in os.environ
            }
            # Nodes usually have Ray at the same place. Where they do not, the system's loader says
            # so in the worker's log and goes on.
            | allocator.variables(),
            "worker_process_setup_hook": _entering(os.getcwd()),
        }
        try:
            # Ray searches the working directory of a driver before all other places. An older copy
            # of this package there would be imported instead.
            with contextlib.chdir(folder), signals.sigterm_stays():
                ray.init(
                    address=address,
                    runtime_env=runtime,
                    log_to_driver=False,
                    logging_level="CRITICAL",
                )
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            if reason.startswith("No node info found"):
                reason = _STRANGER.format(address=address)
    if reason is not None:
        raise StudyError(f"{shown(study.path)}: no Ray cluster at {address}: {reason}")
    _silence()


def _unreachable(address: str) -> str | None:
    """The reason why a cluster cannot be reached; None if it can.

    A separate process tries it. If something else than Ray listens there, Ray would wait for
    minutes and print many lines.
    """
    ask = f"from {__name__} import reach; reach({address!r})"
    try:
        child = subprocess.run(
            [sys.executable, "-c", ask],
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=2 * _REACH,
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {2 * _REACH:g} s; is it Ray that listens there?"
    if child.returncode == 0:
        return None
    return (child.stdout.strip() or child.stderr.strip() or "no answer").splitlines()[-1]


def reach(address: str) -> None:
    """Connect to a cluster and leave it. If that fails, print the reason and exit with code 1."""
    import ray
    from ray._private import services
    from ray._private.authentication import authentication_token_setup as token

    try:
        if ":" in address:
            host, port = address.rsplit(":", 1)
            socket.create_connection((host, int(port)), timeout=_REACH).close()
        if address == "auto":
            token.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        token.ensure_token_if_auth_enabled(None, create_token_if_missing=False)
        ray._raylet.GcsClient(address=services.canonicalize_bootstrap_address(address))
    except ray.exceptions.AuthenticationError:
        reason = _TOKEN
    except (OSError, OverflowError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0]
    else:
        return
    print(reason)
    sys.exit(1)


def _entering(folder: str) -> Callable[[], None]:
    """A hook with which each worker enters this folder, so that relative paths are the same."""

    def enter() -> None:
        with suppress(OSError):
            os.chdir(folder)

    return enter


def _silence() -> None:
    """Suppress Ray's messages about nodes that join and leave. The run reports the effects."""
    import ray._private.worker as worker

    worker.print_to_stdstream = lambda *_, **__: None


def _parent() -> str:
    parent = tempfile.gettempdir()
    return parent if len(parent) <= _LONGEST and encodable(parent) == parent else "/tmp"


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder of this process. Folders that dead processes left are removed first.

    Raises:
        CannotStartError: no folder can be made.
    """
    try:
        parent = _parent()
        _remove_leftovers(Path(parent))
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    except OSError as error:
        raise local_ray.CannotStartError(
            f"no folder for Ray's own files: {error}; set TMPDIR to a writable folder"
        ) from error
    try:
        with (folder / _LOCK).open("w") as lock:
            # The system releases the lock when this process ends for any reason.
            fcntl.flock(lock, fcntl.LOCK_EX)
            print(os.getpid(), file=lock, flush=True)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    for lock in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError), lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A lock file without a process id is just being made.
            if file.read() and lock.parent.stat().st_uid == os.getuid():
                shutil.rmtree(lock.parent, ignore_errors=True)
