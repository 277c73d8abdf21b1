"""A Ray that dies: told once, its workers killed, and a run that hangs in it abandoned."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sret_search.execution import local_ray, ray_cluster, signals


class Ray:
    """Processes in sessions of their own, the second with a worker, and a port."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        start = "sleep 600 & echo $!; wait"
        self.control, self.parent = (
            subprocess.Popen(["bash", "-c", start], stdout=subprocess.PIPE, start_new_session=True)
            for _ in range(2)
        )
        by_name = {"gcs_server": self.control, "raylet": self.parent}
        self.processes = local_ray._Processes(by_name, self.socket.getsockname()[1])

    def worker_ends(self) -> bool:
        """Whether the worker, which holds the pipe open, has ended."""
        assert self.parent.stdout is not None
        ended = threading.Thread(target=self.parent.stdout.read, daemon=True)
        ended.start()
        ended.join(10)
        return not ended.is_alive()

    def close(self) -> None:
        self.socket.close()
        for process in (self.control, self.parent):
            local_ray._kill_workers(local_ray._Processes({"raylet": process}, 0))
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ray]:
    made = Ray()
    monkeypatch.setattr(local_ray, "_processes", lambda: made.processes)
    monkeypatch.setattr(local_ray, "_LOOK", 0.02)
    yield made
    made.close()


def test_a_run_that_hangs_in_a_dead_ray_is_abandoned(
    ray: Ray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_ray, "_PATIENCE", 0.1)
    said, abandoned = [], threading.Event()
    with local_ray.watched(said.append, abandoned.set):
        time.sleep(0.1)
        assert said == []
        ray.control.kill()
        assert abandoned.wait(10)
    assert said == ["Ray on this machine died: its gcs_server ended by SIGKILL"]
    assert ray.worker_ends()


def test_a_ray_that_no_longer_listens_is_dead_and_a_run_that_ends_is_let_go(
    ray: Ray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_ray, "_PATIENCE", 600.0)
    said, told, abandoned = [], threading.Event(), threading.Event()

    def died(why: str) -> None:
        said.append(why)
        told.set()

    with local_ray.watched(died, abandoned.set):
        (watching,) = [t for t in threading.enumerate() if t.name == "watches Ray"]
        ray.socket.close()
        assert told.wait(10)
    assert said == ["Ray on this machine died: its gcs_server was stopped"]
    watching.join(10)
    assert not watching.is_alive()
    assert not abandoned.is_set()


def test_a_ray_that_is_shut_down_is_not_dead(ray: Ray) -> None:
    said = []
    with local_ray.watched(said.append, lambda: said.append("abandoned")):
        (watching,) = [t for t in threading.enumerate() if t.name == "watches Ray"]
    ray.parent.kill()
    watching.join(10)
    assert not watching.is_alive()
    assert said == []


@pytest.mark.parametrize(
    ("error", "lasts"),
    [
        (ValueError("Attempting to start raylet with 1 GPUs, but CUDA_VISIBLE_DEVICES has []"), 1),
        (PermissionError(13, "Permission denied", "/tmp/sret-x"), 1),
        (OSError("AF_UNIX path length cannot exceed 107 bytes"), 1),
        (OSError(28, "No space left on device"), 1),
        (ModuleNotFoundError("No module named 'ray'"), 1),
        (Exception("The current node timed out during startup."), 0),
        (RuntimeError("Failed to connect to GCS."), 0),
        (ConnectionError("ray client"), 0),
        (TimeoutError(), 0),
        (BlockingIOError(11, "Resource temporarily unavailable"), 0),
    ],
    ids=str,
)
def test_what_another_run_cannot_mend_is_the_users(error: Exception, lasts: int) -> None:
    told = local_ray.not_started(error)
    assert isinstance(told, local_ray.CannotStartError) == bool(lasts)
    assert str(told).startswith("Ray did not start: ")
    assert len(str(told).splitlines()) == 1


def test_a_machine_without_a_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**where: str) -> str:
        raise PermissionError(13, "Permission denied", "/tmp/sret-x")

    monkeypatch.setattr(ray_cluster.tempfile, "mkdtemp", refuse)
    with pytest.raises(local_ray.CannotStartError, match="TMPDIR"), ray_cluster._folder():
        pass


def test_sigterm_waits_while_ray_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import worker

    seen = []

    def connect() -> None:
        signal.raise_signal(signal.SIGTERM)
        seen.append("connected")

    monkeypatch.setattr(worker, "connect", connect)
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("terminated"))
    try:
        with signals.sigterm_stays():
            worker.connect()
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))  # as `ray.init` does
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == ["connected", "terminated", "terminated"]
    assert worker.connect is connect
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


SHUT_DOWN = """
import os, signal, subprocess, sys
from sret_search.execution import local_ray, signals
with signals.sigterm_stays():
    import ray
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False,
             logging_level="CRITICAL", _temp_dir=sys.argv[1])
came = []
signal.signal(signal.SIGTERM, lambda *_: came.append(1))
storm = "while kill -TERM $0; do sleep 0.01; done"
storm = subprocess.Popen(["sh", "-c", storm, str(os.getpid())], start_new_session=True)
while not came:
    pass
local_ray.end()
before = len(came)
while len(came) == before:
    pass
storm.kill()
storm.wait()
"""


def test_sigterm_is_still_ours_while_ray_is_shut_down_and_after_it() -> None:
    # Ray's sockets need a short path.
    with tempfile.TemporaryDirectory(prefix="sret", dir="/tmp") as folder:
        done = subprocess.run([sys.executable, "-c", SHUT_DOWN, folder], timeout=120)
    assert done.returncode == 0


def test_workers_look_for_modules_in_no_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private import worker

    def looked_into() -> list[str]:
        """Modules that Ray's workers would find before all that is installed."""
        return [path.name for path in Path.cwd().iterdir()]

    monkeypatch.setattr(worker, "connect", looked_into)
    (tmp_path / "numpy.py").touch()
    monkeypatch.chdir(tmp_path)
    with local_ray._importing_alike(tmp_path / "code"):
        assert worker.connect() == []
    assert worker.connect is looked_into
    assert Path.cwd() == tmp_path


def test_workers_find_a_package_that_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private import worker

    import sret_search

    package = Path(sret_search.__file__).parent
    monkeypatch.setattr(worker, "connect", lambda: [path.resolve() for path in Path().iterdir()])
    monkeypatch.chdir(package.parent)
    with local_ray._importing_alike(tmp_path / "code"):
        assert worker.connect() == [package]


HANGS = """
import sys, time
from pathlib import Path
from sret_search.execution import local_ray
local_ray._START = 0.2
with local_ray._ended_if_it_hangs(Path(sys.argv[1])):
    time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize(("seconds", "code"), [(0.0, 0), (60.0, 1)])
def test_a_start_that_hangs_is_ended(seconds: float, code: int, tmp_path: Path) -> None:
    stacks = tmp_path / "hang.txt"
    done = subprocess.run([sys.executable, "-c", HANGS, stacks, str(seconds)], timeout=60)
    assert done.returncode == code
    assert ("line 7 in <module>" in stacks.read_text()) == bool(code)


RAYLET = """[2026-11-30 10:00:00,000 W 1 1] a warning
Traceback (most recent call last):
  File "<frozen site>", line 548, in execsitecustomize
  File "/home/me/sitecustomize.py", line 3, in <module>
    import numpi
ModuleNotFoundError: No module named 'numpi'
"""


def test_what_kept_workers_from_starting_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "_parent", lambda: str(tmp_path))
    logs = tmp_path / "sret-a" / "ray" / "session_latest" / "logs"
    logs.mkdir(parents=True)
    (tmp_path / "sret-a" / "driver.lock").write_text("123\n")
    (tmp_path / "sret-a" / "hang.txt").touch()
    (logs / "raylet.err").write_text(RAYLET)
    assert ray_cluster.hung(123) is None  # it did not hang
    (tmp_path / "sret-a" / "hang.txt").write_text("Timeout (0:03:00)!")
    assert ray_cluster.hung(124) is None
    assert ray_cluster.hung(123) == (
        "ModuleNotFoundError: No module named 'numpi' (/home/me/sitecustomize.py:3)"
    )


UNDER_UV = """
import subprocess, sys
subprocess.run([sys.argv[1], "-c", sys.argv[2]], check=True)
"""
MADE = """
from sret_search.execution import ray_cluster
ray_cluster._prepare()
from ray._private import worker
from ray._private.runtime_env.uv_runtime_env_hook import _get_uv_run_cmdline
assert _get_uv_run_cmdline(), "Ray does not see uv: this test shows nothing"
assert worker._maybe_modify_runtime_env({}, False) == {}
"""


def test_uv_run_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").write_text(UNDER_UV)
    command = ["bash", "-c", 'exec -a uv "$0" "$@"', sys.executable, "run", sys.executable, MADE]
    path = os.pathsep.join([*sys.path])
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, check=True)
