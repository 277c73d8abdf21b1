"""Environments in which this project is installed, and nothing else that was not asked for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What would lead out of an environment, or into another one.
_LEAKS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTEST_ADDOPTS", "_ARGCOMPLETE")

# What Material says of MkDocs' future whenever a site is built, as `make docs` does.
_QUIET = {"NO_MKDOCS_2_WARNING": "1"}


class Environment:
    """A virtual environment, and a folder outside of the sources in which its commands run."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        """Make an empty one."""
        self.bin, self.work = folder / "venv" / "bin", folder / "work"
        self.work.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        self.install(*arguments)

    def with_extra(self, extra: str, wheel: Path, folder: Path) -> "Environment":
        """A copy, by hard links, into which one extra of the wheel is installed as well."""
        copy = object.__new__(Environment)
        copy.bin, copy.work = folder / "venv" / "bin", folder / "work"
        shutil.copytree(self.bin.parent, copy.bin.parent, symlinks=True, copy_function=os.link)
        shutil.copytree(self.work, copy.work)
        # Again, since its commands would start the first environment's Python.
        copy.install("--force-reinstall", "--no-deps", str(wheel))
        copy.install(f"{wheel}[{extra}]")
        return copy

    def install(self, *arguments: str) -> None:
        pip = [str(self.bin / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        versions = ["--quiet", "--constraint", str(ROOT / "constraints.txt")]
        done = subprocess.run([*pip, *versions, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def smoke(self) -> str:
        """Run the smoke study; what that says."""
        for folder in ("studies", "spaces"):
            shutil.copytree(ROOT / folder, self.work / folder)
        return self.run("sret-search", "run", "studies/smoke.yaml")[0]

    def packages(self) -> set[str]:
        """What is installed, as name==version."""
        return set(self.run("python", "-m", "pip", "freeze", "--all")[0].splitlines())

    @property
    def variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _LEAKS}
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return kept | {"PATH": path, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"} | _QUIET

    def run(self, *command: str, code: int = 0) -> tuple[str, str]:
        """What a command says, in its output and its errors; it must end with this code."""
        done = subprocess.run(
            command, cwd=self.work, env=self.variables, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout, done.stderr

    def python(self, text: str, code: int = 0) -> tuple[str, str]:
        return self.run("python", "-c", text, code=code)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self.work,
            env=self.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def build(folder: Path) -> Path:
    """A folder with the source distribution, and the wheel that was built from it. The sources are
    a copy, since setuptools keeps what it once built beside them."""
    shutil.copytree(ROOT / "sret_search", folder / "source" / "sret_search")
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, folder / "source")
    builder = Environment(folder / "build", "build")
    builder.run("python", "-m", "build", "--outdir", str(folder / "dist"), str(folder / "source"))
    assert len(list((folder / "dist").iterdir())) == 2
    return folder / "dist"
