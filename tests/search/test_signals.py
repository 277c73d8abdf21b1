"""Signals that come at any moment before a study trains."""

import os
import signal
from contextlib import suppress

import pytest

from sret_search.search import signals


@pytest.mark.parametrize("kind", signals.STOPS)
def test_a_signal_that_a_library_swallows_stops_a_run_all_the_same(kind: signal.Signals) -> None:
    before = signal.getsignal(kind)
    with signals.interrupting():
        signals.raise_swallowed()
        with suppress(KeyboardInterrupt):  # as an `except:` around an import does
            os.kill(os.getpid(), kind)
            raise AssertionError("it was not raised at once")
        with pytest.raises(KeyboardInterrupt):
            signals.raise_swallowed()
    assert signal.getsignal(kind) is before
    signals.raise_swallowed()


def test_rays_way_to_end_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), signals.interrupting():
        raise SystemExit(signal.SIGTERM)
    with pytest.raises(SystemExit), signals.interrupting():
        raise SystemExit(1)
