"""A Ray of one's own, and clusters: real nodes, all of them on the loopback interface."""

import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import placements
import pytest
from ruamel.yaml import YAML

from sret_search.config.study_file import Compute, Storage
from sret_search.execution import ray_cluster, resources
from sret_search.execution.nodes import look
from sret_search.trials import failures

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
TIMING = ["seconds", "attempts"]
# The command `ray`, whose nodes would listen on every interface if they were not told that this
# machine has one only; and whose `stop` would end every Ray of the machine.
RAY = """
import os, signal, sys
from pathlib import Path
from ray._private import ray_constants, services
ray_constants.ENABLE_RAY_CLUSTER = True
services.get_node_ip_address = lambda address=None: "127.0.0.1"
from ray.scripts.scripts import main
if sys.argv[1:] != ["stop"]:
    sys.argv[0] = "ray"
    sys.exit(main())
for process in Path("/proc").glob("[0-9]*"):
    try:
        ours = os.environ["SRET_TEST"].encode() in (process / "environ").read_bytes()
        if ours and (process / "comm").read_text().strip() in ("raylet", "gcs_server"):
            os.kill(int(process.name), signal.SIGTERM)
    except OSError:
        pass
"""

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc"),
]


class Nodes:
    """Ray nodes of one CPU each if not said otherwise, and the environment of everything that uses
    them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.temp = Path("/tmp") / f"ray-{secrets.token_hex(3)}"
        self.environment = environment(folder) | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }

    def head(self) -> subprocess.Popen[bytes]:
        port = self.address.split(":")[1]
        node = self.add("--head", f"--port={port}", f"--temp-dir={self.temp}")
        deadline = time.monotonic() + 60
        while not answers(int(port)):
            assert node.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.1)
        return node

    def add(self, *arguments: str, cpus: int = 1, **variables: str) -> subprocess.Popen[bytes]:
        arguments = arguments or (f"--address={self.address}",)
        folder = self.folder / f"node{len(self.started)}"
        folder.mkdir()
        command = [
            "start",
            *arguments,
            "--node-ip-address=127.0.0.1",
            f"--num-cpus={cpus}",
            "--block",
        ]
        with (self.folder / "nodes.log").open("ab") as log:
            node = subprocess.Popen(
                [sys.executable, "-c", RAY, *command, "--disable-usage-stats"],
                cwd=folder,
                env=self.environment | variables,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.started.append(node)
        return node

    @property
    def log(self) -> str:
        return (self.folder / "nodes.log").read_text()

    def wait(self) -> None:
        """Until all of them have joined."""
        deadline = time.monotonic() + 120
        while self.log.count("Ray runtime started.") < len(self.started):
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)

    def close(self) -> None:
        for node in self.started:
            node.terminate()
        for node in self.started:
            node.wait(30)
        end_processes(self.folder)
        shutil.rmtree(self.temp, ignore_errors=True)


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def environment(folder: Path) -> dict[str, str]:
    """One in which Ray stays on the loopback interface, with a home of its own."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "SRET_TEST": str(folder),
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    }


def processes(folder: Path) -> dict[int, str]:
    """Everything that was started with this environment, by name."""
    mark = f"SRET_TEST={folder}\0".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "comm").read_text().strip()
        except OSError:
            pass
    return found


def end_processes(folder: Path, kind: int = signal.SIGKILL) -> None:
    for pid in processes(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, kind)


def python(nodes: Nodes, folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=nodes.environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def write_study(folder: Path, address: str, widths: str = "[16]", epochs: int = 1) -> Path:
    (folder / "space.yaml").write_text(
        (ROOT / "spaces" / "sret_smoke.yaml").read_text().replace("[16, 24]", widths)
    )
    path = folder / "study.yaml"
    path.write_text(
        textwrap.dedent(f"""\
        study: shared
        space: space.yaml
        data: {{name: digits}}
        recipe: {{epochs: {epochs}, warmup: 0.5, batch_size: 64, lr: 5e-3}}
        compute: {{address: "{address}", checkpoint_every: 1s}}
        storage: {{trials: shared/trials}}
        """)
    )
    return path


def table(folder: Path, study: str = "shared") -> pd.DataFrame:
    return pd.read_csv(folder / "reports" / study / "trials.csv", dtype=str)


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Nodes]:
    there = Nodes(tmp_path)
    try:
        there.head()
        yield there
    finally:
        there.close()


@pytest.fixture
def nodes(head: Nodes) -> Nodes:
    head.add(BLIND="1")
    return head


def test_a_study_runs_on_two_nodes(nodes: Nodes, tmp_path: Path) -> None:
    study = write_study(tmp_path, nodes.address)
    nodes.wait()
    code, out, err = python(nodes, tmp_path, "-m", "sret_search.run", study.name)
    assert code == 0, err
    assert err == ""
    assert "2 of 2 trials done" in out
    assert "(raylet)" not in out
    assert list(table(tmp_path).state) == ["complete", "complete"]
    assert not list((tmp_path / "shared").rglob(".probe*"))
    # Relative folders are the driver's, not those in which the nodes were started.
    assert not [path for path in tmp_path.glob("node*/*") if path.is_dir()]
    code, _, err = python(nodes, tmp_path, "-c", OWN, study.name)
    assert code == 0, err


@pytest.mark.slow
def test_trials_are_placed_on_the_nodes_that_have_gpus(head: Nodes, tmp_path: Path) -> None:
    # The head without GPUs, a node with two, and one with a small GPU but too few processors.
    nodes, join = head, f"--address={head.address}"
    for gpus, cpus in ((2, 4), (1, 1)):
        nodes.add(join, f"--num-gpus={gpus}", cpus=cpus)
        nodes.wait()
    address, large = nodes.address, {"2": 80 * 10**9, "1": 10**9}
    trial = {"address": address, "cpus_per_trial": 2}
    cases = [
        {"compute": trial, "memory": large, "together": 2},
        {"compute": {"address": address, "gpus_per_trial": 1}, "together": 3},
        {"compute": {"address": address, "gpus_per_trial": 3}},
        {"compute": trial | {"cpus_per_trial": 5}},
        {"compute": {"address": address, "gpus_per_trial": 0.1}, "memory": large},
    ]
    code, _, err = python(nodes, tmp_path, placements.__file__, "cases", "1", json.dumps(cases))
    assert code == 0, err
    shared, whole, *refused = json.loads((tmp_path / "cases" / "outcomes.json").read_text())
    # One GPU for each, as four processors are for two trials, and both on the same node.
    assert [found["gpus"] for found in shared["placed"]] == [1, 1, 1]
    assert len({found["node"] for found in shared["placed"]}) == 1
    at_once = [found for found in whole["placed"] if found["together"] == 3]
    places = sorted((found["node"], found["visible"]) for found in at_once[:3])
    assert sorted(visible for _, visible in places) == [["0"], ["0"], ["1"]]
    assert len(set(map(str, places))) == 3
    lack = "no node has both; the largest have 4 and 2; to wait for such a node, give"
    lack += " compute.concurrent a number"
    assert refused == [
        {"refused": f"study.yaml: {message}", "placed": 0}
        for message in (
            f"a trial asks for 3 CPUs and 3 GPUs, {lack}",
            f"a trial asks for 5 CPUs and 1 GPUs, {lack}",
            "compute.gpus_per_trial: 0.1 of a GPU of 0.931 GiB is 0.093 GiB, but CUDA itself takes"
            " 0.59 GiB in each process: give each trial more than 0.63",
        )
    ]


OWN = """
import sys, time
from pathlib import Path
from sret_search.execution import ray_cluster
from sret_search.study import load_study
with ray_cluster.connected(load_study(Path(sys.argv[1]))) as folder:
    import ray
    maps = ray.get(ray.remote(lambda: Path("/proc/self/maps").read_text()).remote())
    assert "libjemalloc" in maps
    print(folder, flush=True)
    sys.stdin.read()
"""


def listening(folder: Path) -> set[str]:
    """The addresses, in hexadecimal, on which processes of this environment listen."""
    mark = f"SRET_TEST={folder}\0".encode()
    sockets = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                sockets |= {os.readlink(link) for link in (process / "fd").iterdir()}
        except OSError:
            pass
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and f"socket:[{cells[9]}]" in sockets:
                found.add(cells[1].split(":")[0])
    return found


def test_a_ray_of_ones_own_is_alone_and_leaves_nothing(tmp_path: Path) -> None:
    study = write_study(tmp_path, "local")

    def start() -> tuple[subprocess.Popen[str], Path]:
        driver = subprocess.Popen(
            [sys.executable, "-c", OWN, study],
            env=environment(tmp_path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        folder = Path(driver.stdout.readline().strip())
        assert folder.parent.stat().st_mode & 0o077 == 0
        return driver, folder.parent

    try:
        driver, first = start()
        loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
        assert listening(tmp_path)
        assert listening(tmp_path) <= loopback
        assert not list((tmp_path / "home").iterdir())
        driver.kill()
        driver.communicate()
        assert first.exists()
        driver, second = start()
        assert second.exists()
        assert not first.exists()
        driver.communicate("")
        assert driver.returncode == 0
        assert not second.exists()
    finally:
        end_processes(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("hit", ["its group", "all", "gcs_server", "raylet"])
def test_whatever_a_signal_hits_the_run_ends_in_order(hit: str, tmp_path: Path) -> None:
    study = write_study(tmp_path, "local", epochs=100_000)
    driver = subprocess.Popen(
        [sys.executable, "-m", "sret_search.run", study.name],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while not list(tmp_path.rglob("checkpoint-*")):
            assert driver.poll() is None, driver.communicate()
            time.sleep(0.05)
        began = time.monotonic()
        if hit == "its group":
            os.killpg(driver.pid, signal.SIGTERM)
        elif hit == "all":
            end_processes(tmp_path, signal.SIGTERM)
        else:
            (victim,) = [pid for pid, name in processes(tmp_path).items() if name == hit]
            os.kill(victim, signal.SIGKILL)
        out, err = driver.communicate(timeout=120)
        assert driver.returncode == 3, err
        assert time.monotonic() - began < 60
        assert err.endswith(f"resume with: python -m sret_search.run {study.name}\n")
        assert err.count("\n") == 1
        assert out.count("report: reports/shared/report.html") == 1
        assert ("it has a checkpoint" in out) == (hit == "its group")
        assert ("stopping: Ray on this machine died: its " in out) == (hit != "its group")
        deadline = time.monotonic() + 10
        while left := processes(tmp_path):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
    finally:
        end_processes(tmp_path)


def test_folders_of_living_drivers_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(ray_cluster, "_LONGEST", 1000)
    dead, young, strange = (tmp_path / f"sret-{name}" for name in ("dead", "young", "strange"))
    for folder in (dead, young, strange):
        folder.mkdir()
    (dead / "driver.lock").write_text("1\n")
    (young / "driver.lock").touch()
    with ray_cluster._folder() as first, ray_cluster._folder() as second:
        assert set(tmp_path.iterdir()) == {first, second, young, strange}
    assert set(tmp_path.iterdir()) == {young, strange}


def test_what_a_node_says_of_a_folder(tmp_path: Path) -> None:
    probe = tmp_path / ".probe-1"
    assert look(str(probe), None, "n").startswith(f"does not see {tmp_path}; storage.trials")
    probe.write_text("that of another disk")
    assert look(str(probe), None, "n").startswith(f"does not see {tmp_path}; storage.trials")
    probe.write_text(probe.name)
    assert look(str(probe), str(tmp_path), "n") == ""
    assert (tmp_path / ".probe-1-n").exists()
    assert "does not see photos in " in look(None, "photos", "n")
    assert look(str(probe), None, "n" * 300).startswith(f"cannot write into {tmp_path} (")


BLIND = """
import os, sys
from sret_search import run
from sret_search.execution import nodes
def blind(probe, data, node):
    if os.environ.get("BLIND"):
        probe = "/nowhere" + probe
    return nodes.look(probe, data, node)
nodes.look = blind
sys.exit(run.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_node_that_does_not_see_the_folder_is_named(nodes: Nodes, tmp_path: Path) -> None:
    study = write_study(tmp_path, nodes.address)
    nodes.wait()
    code, _, err = python(nodes, tmp_path, "-c", BLIND, study.name)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"study.yaml: the node {socket.gethostname()} (127.0.0.1) does not see ")
    assert err.endswith(
        "storage.trials must be a folder that all nodes share, or a URL such as s3://bucket/folder\n"
    )
    assert not list(tmp_path.rglob(".probe*"))


def raylet(node: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()
    (found,) = [c for c in children if Path(f"/proc/{c}/comm").read_text().strip() == "raylet"]
    return int(found)


@pytest.mark.slow
def test_a_killed_node_and_a_new_one_change_nothing(nodes: Nodes, tmp_path: Path) -> None:
    golden = tmp_path / "golden"
    golden.mkdir()
    local = write_study(golden, "local", "[16, 24]", 4)
    code, _, err = python(nodes, golden, "-m", "sret_search.run", local.name)
    assert code == 0, err
    assert err == ""

    study = write_study(tmp_path, nodes.address, "[16, 24]", 4)
    nodes.wait()
    driver = subprocess.Popen(
        [sys.executable, "-m", "sret_search.run", study.name],
        cwd=tmp_path,
        env=nodes.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    victim = nodes.started[1]
    while len(list((tmp_path / "shared").rglob("checkpoint-*"))) < 2:
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.05)
    os.kill(raylet(victim), signal.SIGKILL)
    nodes.add()
    out, err = driver.communicate()
    assert driver.returncode == 0, err
    assert err == ""
    assert "its worker died" in out
    assert "(raylet)" not in out
    texts = [table(place).drop(columns=TIMING) for place in (tmp_path, golden)]
    pd.testing.assert_frame_equal(*texts)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_says_what_is_so() -> None:
    lines = [YAML(typ="safe").load(block) for block in blocks("yaml")]
    assert len(lines) == 4
    for line in lines:
        Compute.model_validate(line.get("compute", {}))
        Storage.model_validate(line["storage"])
    assert f"dies {failures._LIMITS[failures.DIED]} times in a row" in PAGE
    assert "1, 2, 4, 8 or 16 trials" in PAGE
    assert resources._SMALLEST == 16


def commands(folder: Path) -> dict[str, str]:
    """An environment with a `ray` command that stays on the loopback interface."""
    there = folder / "bin"
    there.mkdir()
    (there / "ray").write_text(f"#!{sys.executable}\n{RAY}")
    (there / "ray").chmod(0o755)
    variables = environment(folder)
    path = f"{there}:{Path(sys.executable).parent}:{variables['PATH']}"
    return variables | {"PATH": path}


@pytest.mark.slow
def test_the_commands_of_the_page(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = "".join(blocks("sh"))
    assert script.startswith("HEAD=10.0.0.5 PORT=6379\n")
    script = script.replace("HEAD=10.0.0.5 PORT=6379", f"HEAD=127.0.0.1 PORT={port}")
    assert script.count("ray start") == 2
    shutil.copytree(ROOT / "spaces", tmp_path / "spaces")
    study = blocks("yaml")[0].replace("/mnt/shared", str(tmp_path / "shared"))
    (tmp_path / "shared.yaml").write_text(study)
    try:
        done = subprocess.run(
            ["bash", "-eu", "-c", script],
            cwd=tmp_path,
            env=commands(tmp_path),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 of 4 trials done" in done.stdout
        assert done.stdout.count("report: reports/shared/report.html") == 2
        assert list(table(tmp_path).state) == ["complete"] * 4
        assert len(list((tmp_path / "shared/trials/shared").glob("0*"))) == 4
    finally:
        end_processes(tmp_path)


SRUN = """#!/bin/bash
while [[ $1 == --overlap || $1 == --n* || $1 == --exclude* ]]; do shift; done
exec "$@"
"""


@pytest.mark.slow
def test_the_slurm_script_stops_in_order_and_queues_itself_again(tmp_path: Path) -> None:
    (script,) = blocks("bash")
    variables = commands(tmp_path) | {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
    }
    fakes = {
        "srun": SRUN,
        "scontrol": "#!/bin/bash\necho $@ >> requeued\n",
        "hostname": "#!/bin/bash\n[[ $1 == -s ]] && echo here || echo 127.0.0.1\n",
    }
    for name, text in fakes.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    write_study(tmp_path, "auto", "[16, 24]", 4)

    def job() -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", script], cwd=tmp_path, env=variables, stdout=subprocess.PIPE, text=True
        )

    try:
        first = job()
        while not list((tmp_path / "shared").rglob("checkpoint-*")):
            assert first.poll() is None, first.communicate()
            time.sleep(0.05)
        first.terminate()
        out, _ = first.communicate()
        assert first.returncode == 3, out
        assert (tmp_path / "requeued").read_text() == f"requeue {os.getpid()}\n"
        end_processes(tmp_path)
        second = job()
        out, _ = second.communicate()
        assert second.returncode == 0, out
        assert "4 of 4 trials done" in out
    finally:
        end_processes(tmp_path)
        shutil.rmtree(f"/tmp/ray-{os.getpid()}", ignore_errors=True)


def test_ray_is_given_a_home_where_there_is_none(monkeypatch):
    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(ray_cluster, "_ENVIRONMENT", {})
    monkeypatch.setenv("HOME", "/somewhere")
    ray_cluster._prepare()
    assert os.environ["HOME"] == "/somewhere"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    ray_cluster._prepare()
    # As Ray has it when it is imported.
    assert Path("~/ray_results").expanduser() == Path("/dev/null/ray_results")
