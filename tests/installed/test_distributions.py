"""Wheel and source distribution, each in an environment that was empty, outside of the sources."""

import subprocess

import pytest
from environments import Environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def check(environment: Environment) -> None:
    """It is found healthy, is none of these sources, and has run the smoke study."""
    said = environment.run("sret-search", "doctor")[0].splitlines()
    assert said[-1] == "nothing to fix"
    (module,) = environment.python("import sret_search; print(sret_search.__file__)")[0].split()
    assert module.startswith(str(environment.bin.parent))
    pages = environment.work / "reports" / "smoke"
    assert {"report.html", "summary.json", "trials.csv"} <= {p.name for p in pages.iterdir()}


def test_the_wheel_is_healthy_and_runs_the_smoke_study(bare):
    check(bare)
    again = bare.run("sret-search", "run", "studies/smoke.yaml")[0]
    assert "nothing to train: all 4 trials ended" in again


def test_the_source_distribution_is_healthy_and_runs_the_smoke_study(built, place):
    (archive,) = built.glob("*.tar.gz")
    environment = Environment(place, str(archive))
    assert "4 of 4 trials done" in environment.smoke()
    check(environment)
    listed = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True)
    assert "/sret_search/reporting/render/templates/" in listed.stdout
    assert "/tests/" not in listed.stdout
