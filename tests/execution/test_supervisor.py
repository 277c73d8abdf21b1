"""The process that drives a study, and the one that answers for its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

COMMAND = """
import os, signal, sys, time
from sret_search.execution import signals, supervisor

def work():
    try:
        with signals.interrupting():
            print("driver", os.getpid(), supervisor.pid(), flush=True)
            {work}
    except KeyboardInterrupt:
        return 3

def ended():
    print("ended", flush=True)
    return 3

sys.exit(supervisor.driven(work, ended))
"""


class Command:
    """A command that does some work in a driver of its own."""

    def __init__(self, work: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND.format(work=work)], stdout=subprocess.PIPE,
            text=True, process_group=0,
        )  # fmt: skip
        assert self.process.stdout is not None
        _, driver, known_as = self.process.stdout.readline().split()
        self.driver = int(driver)
        assert int(known_as) == self.process.pid != self.driver

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        assert self.process.stdout is not None
        # `communicate` would lose what came together with the first line.
        with self.process.stdout as said:
            out = said.read()
        return self.process.wait(timeout=30), out


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_exit_code_is_that_of_the_driver(code: int) -> None:
    assert Command(f"return {code}").end() == (code, "")


def test_a_mistake_of_ours_stays_one() -> None:
    assert Command("raise ValueError('shown')").end() == (1, "")
    assert Command("sys.exit(2)").end() == (2, "")


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("os._exit(1)", "stopping: Ray ended the process of the study with code 1\nended\n"),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "stopping: the process of the study was ended by SIGKILL\nended\n",
        ),
        ("supervisor.leave()", "ended\n"),
    ],
)
def test_where_others_end_the_driver_somebody_is_left(work: str, said: str) -> None:
    assert Command(work).end() == (3, said)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_what_asks_to_stop_reaches_the_driver_once(
    stop: signal.Signals, kill: Callable[[int, int], None]
) -> None:
    work = f"""
            caught = []
            signal.signal({int(stop)}, lambda *_: caught.append(1))
            print("ready", flush=True)
            while not caught:
                time.sleep(0.01)
            time.sleep(0.5)  # a second one would come at once
            print(len(caught))
            return 0"""
    command = Command(work)
    assert command.process.stdout is not None
    assert command.process.stdout.readline() == "ready\n"
    kill(command.process.pid, stop)
    assert command.end() == (0, "1\n")


def test_a_driver_ends_with_the_process_that_was_started() -> None:
    command = Command("time.sleep(600)")
    command.process.kill()
    command.process.communicate()
    assert command.process.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    with suppress(ProcessLookupError, FileNotFoundError):
        while Path(f"/proc/{command.driver}/stat").read_text().split()[2] != "Z":
            os.kill(command.driver, 0)
            assert time.monotonic() < deadline, "the driver goes on alone"
            time.sleep(0.02)


def test_a_stop_while_python_starts_is_kept() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(work="time.sleep(600)")], stdout=subprocess.PIPE
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not children.read_text():
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 3


def test_a_terminal_that_is_closed_ends_nothing_under_nohup() -> None:
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code = ignoring + COMMAND.format(work="time.sleep(1); return 0")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    _, driver, _ = process.stdout.readline().split()
    for pid in (process.pid, int(driver)):
        os.kill(pid, signal.SIGHUP)
    assert process.wait(timeout=30) == 0
    process.stdout.close()


STORM = """
            try:
                time.sleep(30)
            except KeyboardInterrupt:
                time.sleep(0.5)
                print("put away", flush=True)
                raise
"""
REPORT = """
            signals.note()
            time.sleep(1.0)
            print("report", flush=True)
            return 0
"""


@pytest.mark.parametrize(
    ("work", "ended"),
    [(STORM, (3, "put away\n")), (REPORT, (0, "report\n"))],
    ids=["while it works", "while it draws the last report"],
)
def test_a_storm_of_sigterm_ends_in_order(work: str, ended: tuple[int, str]) -> None:
    command = Command(work.strip())
    over = threading.Event()

    def storm() -> None:
        while not over.wait(0.02):
            with suppress(ProcessLookupError):
                command.process.send_signal(signal.SIGTERM)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        assert command.end() == ended
    finally:
        over.set()
        thread.join()


def test_signals_do_nothing_while_the_process_ends() -> None:
    ending = COMMAND.replace("sys.exit(supervisor.driven(work, ended))", """
code = supervisor.driven(work, ended)
if not supervisor._is_child:
    print(all(signal.getsignal(kind) == signal.SIG_IGN for kind in signals.STOPS))
""")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", ending.format(work="return 0")], capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "True"
