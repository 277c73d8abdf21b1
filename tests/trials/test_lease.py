"""One driver for a study whose database is a file."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sret_search.study import Study, StudyError, load_study
from sret_search.trials.lease import StudyHeldError, hold

HOLDER = """
import sys, time
from pathlib import Path
from sret_search.trials.lease import hold
from sret_search.study import load_study
with hold(load_study(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def made(tmp_path, monkeypatch) -> Study:
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text("architecture: sret_digits\naxes: {}\n")
    Path("s.yaml").write_text("study: s\nspace: space.yaml\n")
    return load_study(Path("s.yaml"))


def test_a_study_is_held_by_one_at_a_time(made):
    with hold(made) as lease:
        lease.check()
        with pytest.raises(StudyHeldError, match=f"held by process {os.getpid()} on "), hold(made):
            pass
        lease.check()
    with hold(made) as lease:
        lease.check()


def test_the_second_driver_is_told_who_is_first_and_follows_a_killed_one(made):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, made.path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyHeldError) as raised, hold(made):
            pass
        assert re.fullmatch(
            rf"runs/s is held by process {holder.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d;"
            " let it finish, or stop it, then run this again",
            str(raised.value),
        )
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with hold(made) as lease:
        lease.check()


def test_what_a_killed_holder_had_started_is_waited_for(made):
    outlives = "import os\n    if os.fork() == 0: sys.stdin.read(); os._exit(0)\n    print"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER.replace("print", outlives), made.path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    released = threading.Event()

    def release():
        released.set()
        holder.stdin.close()

    timer = threading.Timer(0.2, release)
    timer.start()
    with hold(made) as lease:
        assert released.is_set()
        lease.check()
    timer.join()
    holder.stdout.close()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": 3}'])
def test_a_holder_that_has_not_yet_said_who_it_is_holds_all_the_same(made, text):
    with hold(made):
        Path("runs/s/lease.json").write_text(text)
        with pytest.raises(StudyHeldError, match="held by another process; let"), hold(made):
            pass


def test_a_lease_whose_file_was_deleted_or_replaced_is_no_longer_ours(made):
    with hold(made) as first:
        Path("runs/s/lease.json").unlink()
        with pytest.raises(StudyHeldError, match=r"lease.json, .* was deleted or replaced"):
            first.check()
        with hold(made) as second:
            second.check()
            with pytest.raises(StudyHeldError, match="was deleted or replaced"):
                first.check()


def test_a_folder_that_cannot_be_made_is_named(made):
    Path("runs").write_text("a file")
    with pytest.raises(StudyError, match=r"^runs/s/lease.json: cannot be written: "), hold(made):
        pass
