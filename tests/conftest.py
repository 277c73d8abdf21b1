"""Long files of tests come first, so that no worker is left alone with one at the end; drawn
examples are the same in every run, however long a busy machine takes for one."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")

_LONG = (
    "kill/test_fast.py", "test_end_to_end.py", "execution/test_ray_cluster.py",
    "reporting/test_beside.py", "training/test_distributed.py", "cost/test_cost.py",
    "samplers/test_sparse.py", "search/test_phases.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order of the others."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(_LONG))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
