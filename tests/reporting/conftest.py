"""Drawing takes most of a report's time, so that only tests that look at pictures draw them."""

import pytest
from matplotlib.figure import Figure

from sret_search.reporting import write


@pytest.fixture
def drawn() -> None:
    """Pictures are drawn in this test."""


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(figure: Figure) -> dict[str, bytes]:
        return {"png": b"", "svg": b"<svg/>", "pdf": b""}

    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(write, "pictures", empty)
