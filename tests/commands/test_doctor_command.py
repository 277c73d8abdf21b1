"""`sret-search doctor`: a line for each thing, and exit code 2 where something must be fixed."""

import os
import subprocess
import sys
from importlib import metadata

import pytest

from sret_search.__main__ import main
from sret_search.commands import doctor
from sret_search.machine import file_system
from sret_search.training import data
from sret_search.trials import sqlite


def by_about(look):
    return {finding.about: finding for finding in look()}


def test_a_folder_that_is_fit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--no-ray"]) == 0
    lines = capsys.readouterr().out.splitlines()
    about = {line[6:15].strip() for line in lines if not line.startswith(" ")}
    assert about >= {"Python", "packages", "CPU", "GPU", "storage", "disk", "temporary"}
    assert "Ray" not in about
    assert lines[-1] == "nothing to fix"
    assert list(tmp_path.iterdir()) == []


def test_packages_are_held_against_their_ranges(monkeypatch):
    has = metadata.version

    def version(name):
        if name == "ray":
            return "1.0"
        if name in ("tensorboard", "pandas"):
            raise metadata.PackageNotFoundError(name)
        return has(name)

    monkeypatch.setattr(metadata, "version", version)
    found = list(doctor.packages())
    said = [finding.text for finding in found if finding.state == "fix"]
    assert any(line.startswith("ray 1.0, not ") for line in said)
    assert "pandas is not installed" in said
    assert len(said) == 2
    [extras] = [finding for finding in found if finding.about == "extras"]
    assert "tensorboard" in extras.text
    assert not any(name in extras.text for name in ("postgres", "browser", "docs"))
    assert extras.state == "note"


def test_a_project_that_is_not_installed(monkeypatch):
    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "metadata", none)
    [found] = doctor.packages()
    assert (found.state, found.to_do) == ("fix", "pip install --upgrade sret-search")


def test_a_network_file_system_is_to_be_fixed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sqlite, "mounts", lambda: "server:/data / nfs4 rw 0 0\n")
    assert main(["doctor", "--no-ray"]) == 2
    text = capsys.readouterr().out
    assert "fix   storage" in text
    assert "network file system (nfs4)" in text
    assert text.endswith("1 to fix\n")


def test_a_full_disk_is_to_be_fixed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(file_system, "free", lambda folder: file_system.SPARE - 1)
    assert by_about(doctor.storage)["disk"].state == "fix"
    assert by_about(doctor.temporary)["temporary"].state == "fix"
    monkeypatch.setattr(file_system, "free", lambda folder: 2 * file_system.SPARE)
    assert by_about(doctor.storage)["disk"].state == "note"


def test_a_disk_without_inodes_is_to_be_fixed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(file_system, "lacks_files", lambda folder: True)
    assert by_about(doctor.storage)["disk"].state == "fix"


def test_a_gpu_that_torch_does_not_see_is_to_be_fixed(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    [found] = doctor.graphics()
    assert found.state == "fix"
    assert found.text.startswith("CUDA_VISIBLE_DEVICES=0,1 names 2")
    assert found.to_do.startswith("unset CUDA_VISIBLE_DEVICES")
    for name in ("", "NoDevFiles"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", name)
        [found] = doctor.graphics()
        assert found.state == "note"
        assert f"CUDA_VISIBLE_DEVICES={name} names none" in found.text


def test_a_package_that_does_not_load_is_a_finding(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["doctor", "--no-ray"]) == 2
    assert "fix   GPU        cannot be checked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tried", "state", "said"),
    [("pass", "well", "a worker answers"),
     ("raise OSError('Ray did not start: no room')", "fix", "Ray did not start: no room"),
     ("raise SystemExit(7)", "fix", "ended with code 7"),
     ("import time; time.sleep(60)", "fix", "did not start within 0.1 s")],
)  # fmt: skip
def test_what_ray_did(tried, state, said, monkeypatch):
    monkeypatch.setattr(doctor, "_TRY_RAY", tried)
    monkeypatch.setattr(doctor, "_PATIENCE", 0.1 if "sleep" in tried else 60.0)
    [found] = doctor.ray()
    assert found.state == state
    assert said in found.text


@pytest.mark.slow
def test_ray_starts_as_for_a_study():
    [found] = doctor.ray()
    assert (found.state, found.text) == ("well", "starts, and a worker answers")


def test_it_runs_where_a_package_is_missing():
    code = (
        "import sys\nsys.modules['pydantic'] = sys.modules['torch'] = None\n"
        "from sret_search.__main__ import main\nsys.exit(main(['doctor', '--no-ray']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "cannot be checked" in done.stdout


def test_shared_memory_is_looked_at(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_SHARED", tmp_path)
    monkeypatch.setattr(file_system, "free", lambda path: 64 * 2**20)
    little = by_about(doctor.shared_memory)["memory"]
    assert (little.state, little.to_do.split()[:2]) == ("note", ["docker", "run"])
    assert f"67.1 MB free in {tmp_path}: Ray keeps its objects on the disk" in little.text
    monkeypatch.setattr(file_system, "free", lambda path: 10**9)
    assert by_about(doctor.shared_memory)["memory"].state == "well"
    monkeypatch.setattr(data, "no_workers", lambda: "[Errno 28] No space left on device")
    none = by_about(doctor.shared_memory)["memory"]
    assert (none.state, none.to_do[:5]) == ("note", "make ")
    assert "no semaphore can be made" in none.text


def test_a_home_that_cannot_be_written_is_a_note(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cannot = by_about(doctor.cache)["cache"]
    assert (cannot.state, cannot.to_do.split()[1]) == ("note", "XDG_CACHE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert by_about(doctor.cache)["cache"].state == "well"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # no such user
    assert "no home folder" in by_about(doctor.cache)["cache"].text
