"""What is installed, and what the project's own files say of it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def test_the_workflow_runs_what_the_project_runs():
    steps = YAML(typ="safe").load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_hooks_are_of_the_projects_own_environment():
    hooks = YAML(typ="safe").load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]]
    assert all(entry.startswith(".venv/bin/") for entry in entries)
    assert entries[-1].endswith("schema --out .")


@pytest.mark.slow
def test_the_wheel_has_the_package_with_its_data_and_nothing_else(tmp_path):
    """Built from a copy, since setuptools keeps what it once built beside the sources."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "sret_search", source / "sret_search")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(source)], check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        info = {name.partition("/")[2] for name in archive.namelist() if ".dist-info/" in name}
    package = ROOT / "sret_search"
    wanted = {
        f"sret_search/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == wanted
    assert {"sret_search/py.typed", "sret_search/__init__.pyi"} <= names
    assert any(name.startswith("sret_search/reporting/render/templates/") for name in names)
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= info
