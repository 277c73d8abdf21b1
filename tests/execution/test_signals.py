"""Signals that come at any moment before a study trains."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from sret_search.execution import signals


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


def test_sigterm_again_and_again_cuts_nothing_short() -> None:
    done = []
    with suppress(KeyboardInterrupt), signals.interrupting():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            for _ in range(5):
                os.kill(os.getpid(), signal.SIGTERM)
            done.append("put away")
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    assert done == ["put away"]
    # The next one begins anew.
    with pytest.raises(KeyboardInterrupt), signals.interrupting():
        os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_does_not_stop_the_last_work() -> None:
    with signals.interrupting():
        signals.note()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


QUIET = """
import os, sys
from sret_search.terminal import quiet
with quiet():
    os.write(2, b"raw\\n")
    print("said", file=sys.stderr)
    os.system("echo child >&2")
os.write(2, b"after\\n")
print("last", file=sys.stderr)
"""


def test_raw_lines_on_standard_error_are_kept_away() -> None:
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.splitlines() == ["said", "after", "last"]
