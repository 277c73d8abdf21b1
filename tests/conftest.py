"""Long files of tests come first, so that no worker is left alone with one at the end."""

import pytest

_LONG = (
    "kill/test_fast.py", "test_end_to_end.py", "search/test_cluster.py",
    "reporting/test_beside.py", "training/test_distributed.py", "test_cost.py",
    "search/test_sparse.py", "search/test_phases.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order of the others."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(_LONG))
