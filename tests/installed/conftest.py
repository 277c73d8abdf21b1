"""What is built once, and the first environments that it is installed into."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments import Environment, build


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def wheel(built) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def bare(wheel, tmp_path_factory) -> Iterator[Environment]:
    """The wheel in an environment that was empty; the smoke study was run in it."""
    folder = tmp_path_factory.mktemp("bare")
    environment = Environment(folder, str(wheel))
    environment.smoke()
    yield environment
    shutil.rmtree(folder)


@pytest.fixture
def place(tmp_path) -> Iterator[Path]:
    """For an environment, which takes a gigabyte: it goes when the test has ended."""
    yield tmp_path / "environment"
    shutil.rmtree(tmp_path / "environment")
