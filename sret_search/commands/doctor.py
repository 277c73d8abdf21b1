"""`sret-search doctor`: check whether this machine and this folder can run studies.

A check is a function that yields findings. It imports packages, and rooms that need them, inside
the function: a package that is missing, or does not load, is itself a finding.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from sret_search.commands.arguments import command_line
from sret_search.errors import DONE, INPUT

_DESCRIPTION = """\
Check the needs of a study: the packages and their versions, CPUs and GPUs, whether a study's
database can lie in this folder, room on the disk, shared memory, the cache of images, and whether
Ray starts. Each result is a line:

  ok     nothing to do
  note   studies run without it
  fix    studies would not run; the next line says what to do

exit codes: 0 nothing to fix, 2 something to fix
"""
_EXAMPLES = """\
doctor
doctor --no-ray   # leaves out the start of Ray, which takes some seconds"""

_MARKS = {"well": "ok  ", "note": "note", "fix": "fix "}

_DISTRIBUTION = "sret-search"
_NAMED = ("torch", "ray", "optuna")
"""Packages whose versions are printed."""
_FOR_DEVELOPERS = frozenset({"test", "browser", "docs", "dev"})
_INSTALL = f"pip install --upgrade {_DISTRIBUTION}"
_SCARCE = 2 * 10**9
"""Bytes of free disk below which a study should be planned first."""
_SHARED = Path("/dev/shm")
_LITTLE = 128 * 2**20
"""Bytes of shared memory below which Ray does not use it."""
_PATIENCE = 180.0
"""Seconds in which Ray must start and a worker must answer."""
_TRY_RAY = "from sret_search.execution.ray_cluster import try_out; try_out()"


@dataclass(frozen=True)
class Finding:
    """A checked thing, its state, and the remedy. A `note` is for information."""

    about: str
    state: Literal["well", "note", "fix"]
    text: str
    to_do: str = ""


def packages() -> Iterator[Finding]:
    """Check Python and the packages against the ranges that this project declares."""
    here = platform.python_version()
    try:
        distribution = metadata.metadata(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        yield Finding("packages", "fix", f"{_DISTRIBUTION} is not installed", _INSTALL)
        return
    try:
        from packaging.requirements import Requirement
        from packaging.specifiers import SpecifierSet
    except ModuleNotFoundError:
        yield Finding("packages", "fix", "packaging is not installed", _INSTALL)
        return
    wanted = distribution["Requires-Python"] or ""
    if SpecifierSet(wanted).contains(here, prereleases=True):
        yield Finding("Python", "well", here)
    else:
        yield Finding("Python", "fix", f"{here}, not {wanted}", f"install Python {wanted}")

    required = [Requirement(text) for text in metadata.requires(_DISTRIBUTION) or ()]

    def missing(extra: str) -> list[str]:
        return [
            problem
            for requirement in required
            if requirement.name != _DISTRIBUTION
            and (requirement.marker is None or requirement.marker.evaluate({"extra": extra}))
            and (problem := _lack(requirement.name, requirement.specifier)) is not None
        ]

    lacking = missing("")
    for problem in lacking:
        yield Finding("packages", "fix", problem, _INSTALL)
    if not lacking:
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in _NAMED)
        yield Finding("packages", "well", f"all within their ranges: {versions}")
    extras = [
        name for name in distribution.get_all("Provides-Extra", ()) if name not in _FOR_DEVELOPERS
    ]
    absent = [name for name in extras if len(missing(name)) > len(lacking)]
    if absent:
        install = f"pip install '{_DISTRIBUTION}[{','.join(absent)}]', if you want them"
        yield Finding("extras", "note", f"not installed: {', '.join(absent)}", install)


def _lack(name: str, specifier: object) -> str | None:
    """The fault of a package; None if it is installed within its range."""
    from packaging.specifiers import SpecifierSet

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is not installed"
    wanted = SpecifierSet(str(specifier))
    return None if wanted.contains(version, prereleases=True) else f"{name} {version}, not {wanted}"


def processors() -> Iterator[Finding]:
    """Report the CPUs that this process may use, and their instructions."""
    from sret_search.machine.hardware import cpu
    from sret_search.machine.processors import cpus, quota

    number, limit, name = cpus(), quota(), cpu()
    text = f"{number} CPU{'s' if number > 1 else ''}, {name}"
    if limit is not None and limit < (os.cpu_count() or 1):
        text += f" (a control group allows {limit:g} of {os.cpu_count()})"
    if platform.machine() == "x86_64" and "AVX" not in name:
        to_do = "an image or virtual machine with AVX2 trains several times as fast"
        yield Finding("CPU", "note", f"{text}: no AVX2", to_do)
    else:
        yield Finding("CPU", "well", text)


def allocator() -> Iterator[Finding]:
    """Report the allocator of the workers' memory."""
    from sret_search.machine.allocator import jemalloc

    if preloaded := os.environ.get("LD_PRELOAD"):
        yield Finding("allocator", "note", f"LD_PRELOAD={preloaded}: workers use it too")
    elif jemalloc() is not None:
        yield Finding("allocator", "well", "workers use jemalloc, which comes with Ray")
    else:
        to_do = "trainings that recompute activations are slower"
        yield Finding("allocator", "note", "Ray brings none here: workers use the system's", to_do)


def graphics() -> Iterator[Finding]:
    """Report the GPUs, as the driver and torch see them."""
    import torch

    from sret_search.machine.hardware import gpus

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = "" if visible is None else f"CUDA_VISIBLE_DEVICES={visible}"
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if seen:
        names = ", ".join(sorted({torch.cuda.get_device_name(index) for index in range(seen)}))
        yield Finding("GPU", "well", f"{seen} × {names}")
    elif gpus():
        build = (
            "install the CUDA build of torch that fits the driver: https://pytorch.org/get-started"
        )
        unset = f"unset CUDA_VISIBLE_DEVICES to train on CPUs, or {build}" if named else build
        source = f"{named} names" if named else "the driver has"
        text = f"{source} {gpus()}, but torch {torch.__version__} sees none"
        yield Finding("GPU", "fix", text, unset)
    else:
        why = f", since {named} names none" if named else ""
        yield Finding("GPU", "note", f"none{why}: trials are trained on CPUs")


def storage() -> Iterator[Finding]:
    """Check whether a study's database can lie in this folder, and the room on its disk."""
    from sret_search.machine.file_system import SPARE, existing_above, free, lacks_files
    from sret_search.trials.sqlite import mounts, network_file_system, read_while_written
    from sret_search.units import size_text

    runs = (Path.cwd() / "runs").resolve()
    existing = existing_above(runs)
    elsewhere = "work in another folder, or set storage.url and storage.trials"
    shared = network_file_system(runs, mounts())
    if shared is not None:
        text = f"{runs} is on a network file system ({shared}), where SQLite can lose a study"
        yield Finding("storage", "fix", text, elsewhere)
    else:
        try:
            with tempfile.TemporaryDirectory(dir=existing, prefix=".doctor-") as folder:
                works = read_while_written(Path(folder) / "probe.db")
        except (OSError, sqlite3.Error) as error:
            text = f"{existing} cannot be written ({error})"
            yield Finding("storage", "fix", text, elsewhere)
        else:
            text = "SQLite reads while it writes" if works else "SQLite's log does not work"
            state: Literal["well", "fix"] = "well" if works else "fix"
            yield Finding("storage", state, f"{text} in {runs}", "" if works else elsewhere)
    if lacks_files(runs):
        yield Finding("disk", "fix", f"hardly an inode is left in {existing} (df -i)", elsewhere)
    else:
        yield _room("disk", free(runs), SPARE, size_text(free(runs)), str(existing))


def temporary() -> Iterator[Finding]:
    """Check the room in the folder for temporary files, in which Ray keeps its files."""
    from sret_search.machine.file_system import SPARE, free
    from sret_search.units import size_text

    folder = Path(tempfile.gettempdir())
    there = free(folder)
    yield _room("temporary", there, SPARE, size_text(there), f"{folder} (TMPDIR)")


def shared_memory() -> Iterator[Finding]:
    """Check shared memory, which is small in containers, and the semaphores in it."""
    from sret_search.machine.file_system import free
    from sret_search.training.data import no_workers
    from sret_search.units import size_text

    about, why = "memory", no_workers()
    if why is not None:
        text = f"no semaphore can be made in {_SHARED} ({why}): images are decoded without workers"
        to_do = (
            f"make {_SHARED} writable, for example with --ipc=host or --shm-size=1g of docker run"
        )
        yield Finding(about, "note", text, to_do)
    elif not _SHARED.is_dir():
        yield Finding(about, "well", "semaphores can be made")
    elif (there := free(_SHARED)) < _LITTLE:
        text = f"{size_text(there)} free in {_SHARED}: Ray keeps its objects on the disk instead"
        yield Finding(about, "note", text, "docker run --shm-size=1g gives a container more of it")
    else:
        yield Finding(about, "well", f"{size_text(there)} free in {_SHARED}")


def cache() -> Iterator[Finding]:
    """Check the folder for decoded images. By default it is in the user's home folder."""
    from sret_search.machine.file_system import existing_above
    from sret_search.training.data.cache import folder

    try:
        kept = folder()
        with tempfile.TemporaryDirectory(dir=existing_above(kept), prefix=".doctor-"):
            pass
    except OSError as error:
        text = f"decoded images cannot be kept, so each trial decodes them again ({error})"
        to_do = "set XDG_CACHE_HOME to a folder that can be written"
        yield Finding("cache", "note", text, to_do)
    else:
        yield Finding("cache", "well", f"decoded images can be kept in {kept}")


def _room(about: str, there: int, least: int, free: str, where: str) -> Finding:
    text = f"{free} free in {where}"
    if there < least:
        return Finding(about, "fix", text, "make room there, or work elsewhere")
    if there < _SCARCE:
        return Finding(about, "note", text, "`sret-search plan STUDY` says how much a study needs")
    return Finding(about, "well", text)


def ray() -> Iterator[Finding]:
    """Check whether Ray starts as for a study, in a process that can be ended."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRY_RAY],
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=_PATIENCE,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired:
        text = f"did not start within {_PATIENCE:g} s"
        yield Finding("Ray", "fix", text, "try again when the machine is less busy")
        return
    if done.returncode == 0:
        yield Finding("Ray", "well", "starts, and a worker answers")
        return
    lines = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
    text = lines[-1].rpartition("Error: ")[2]
    yield Finding("Ray", "fix", text, "run `ray stop` if an old Ray is left, and try again")


_CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "packages": packages,
    "CPU": processors,
    "allocator": allocator,
    "GPU": graphics,
    "storage": storage,
    "temporary": temporary,
    "memory": shared_memory,
    "cache": cache,
    "Ray": ray,
}


def parser(prog: str) -> argparse.ArgumentParser:
    """The parser of `doctor`."""
    result = command_line(prog, _DESCRIPTION, _EXAMPLES)
    result.add_argument("--no-ray", action="store_true", help="do not try to start Ray")
    return result


def main(argv: list[str], prog: str) -> int:
    """Print each result at once, and return the exit code."""
    arguments = parser(prog).parse_args(argv)
    to_fix = 0
    for about, check in _CHECKS.items():
        if about == "Ray" and arguments.no_ray:
            continue
        for finding in _checked(about, check):
            to_fix += finding.state == "fix"
            print(f"{_MARKS[finding.state]}  {finding.about:9}  {finding.text}", flush=True)
            if finding.to_do:
                print(f"{'':17}→ {finding.to_do}", flush=True)
    print(f"{to_fix or 'nothing'} to fix")
    return INPUT if to_fix else DONE


def _checked(about: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Results of a check. A package that does not load is a result too."""
    try:
        yield from check()
    except (ImportError, OSError) as error:
        yield Finding(about, "fix", f"cannot be checked: {error}", "fix the packages first")
