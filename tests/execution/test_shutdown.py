"""A stop: asked for once, said once, and over when its time is."""

import os
import signal

import pytest

from sret_search.execution import shutdown, signals
from sret_search.execution.shutdown import GRACE, Stopping


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(shutdown.time, "monotonic", lambda: now[0])
    return now


def test_the_hours_of_a_study(clock: list[float]) -> None:
    asked, said = [], []
    made = Stopping(lambda: asked.append(1), said.append, hours=2.0)
    clock[0] += 7199
    made.on_step_begin(0, [])
    assert not made.look()
    clock[0] += 2
    made.on_step_begin(1, [])
    assert made.look()
    assert (len(asked), len(said)) == (1, 1)
    assert "max_hours 2" in said[0]
    clock[0] += GRACE + 1
    with pytest.raises(KeyboardInterrupt):
        made.on_step_begin(2, [])


def test_a_signal_asks_and_a_second_one_ends(clock: list[float]) -> None:
    asked, said = [], []
    made = Stopping(lambda: asked.append(1), said.append, hours=None)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), made.on_signals():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGTERM)
        assert said == [], "whatever the signal interrupts may itself be telling the user"
        assert made.look()
        assert "Ctrl-C stops at once" in said[0]
        made.on_step_begin(0, [])
        os.kill(os.getpid(), signal.SIGINT)
    assert (len(asked), len(said)) == (1, 1)
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_again_and_again_is_one_wish() -> None:
    made = Stopping(lambda: None, lambda text: None, hours=None)
    with signals.interrupting():
        with made.on_signals():
            for _ in range(5):
                os.kill(os.getpid(), signal.SIGTERM)
            assert made.look()
        # Nor does it cut short what comes after the last trial.
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_disk_without_room_for_the_wish_is_no_error(clock: list[float]) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    made = Stopping(full, lambda text: None, hours=1.0)
    clock[0] += 3601
    assert made.look()
