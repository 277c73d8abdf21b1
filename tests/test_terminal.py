"""Commands print on every output, whatever characters it can take."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sret_search import run, terminal
from sret_search.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[1]
IN_ASCII = {"PYTHONIOENCODING": "ascii"}
IN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def printed(text: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a stream of an encoding gets of a text."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    terminal.prepare()
    print(text, end="", flush=True)
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", r"2 × 3 – 5 … → µ ± ≥ 漢 \xff"),
        ("latin-1", r"2 × 3 - 5 ... -> µ ± >= ? \xff"),
        ("ascii", r"2 x 3 - 5 ... -> u +- >= ? \xff"),
    ],
)
def test_another_character_stands_for_what_an_output_cannot_take(
    encoding: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert printed("2 × 3 – 5 … → µ ± ≥ 漢 \udcff", encoding, monkeypatch) == expected


def test_streams_that_are_no_files_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", None)
    terminal.prepare()
    print("×")
    assert sys.stdout.getvalue() == "×\n"
    with sys.stderr:
        print("to nobody", file=sys.stderr)


@pytest.mark.parametrize(
    "begin",
    [*(partial(main, [command, "--help"]) for command in COMMANDS), partial(run.main, ["--help"])],
    ids=[*COMMANDS, "run as a module"],
)
def test_every_command_begins_so(begin: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    with pytest.raises(SystemExit):
        begin()
    print("×", flush=True)


@pytest.mark.parametrize("variables", [IN_ASCII, IN_C], ids=["ascii", "C"])
def test_a_plan_is_printed_where_the_output_is_ascii(
    variables: dict[str, str], tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "sret_search", "plan", str(ROOT / "studies" / "smoke.yaml")],
        cwd=tmp_path,
        capture_output=True,
        env=os.environ | variables,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "<= 50,000" in ended.stdout.decode("ascii")


PRINTS = """
import sys, time
from sret_search import terminal
terminal.prepare()
opened = open(sys.argv[1], "w")
print("begun", flush=True)
sys.stdin.readline()
for _ in range(3000):
    print("a line that nobody reads any more")
opened.write("done")
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("end", ["a reader that leaves", "a full disk", "closed files"])
def test_output_that_ends_ends_nothing_else(end: str, unbuffered: str, tmp_path: Path) -> None:
    closed = end == "closed files"
    redirection = {
        "a reader that leaves": "",
        "a full disk": ">/dev/full",
        "closed files": ">&- 2>&-",
    }
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" {redirection[end]}', "", sys.executable, "-c", PRINTS, tmp_path / "kept"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == (b"begun\n" if not redirection[end] else b"")
    process.stdout.close()
    process.stdin.write(b"go on\n")
    process.stdin.close()
    with process.stderr as said:
        assert said.read() == b""
    assert process.wait(timeout=60) == 0
    # Nothing that was printed is in a file that was opened where output is closed.
    assert (tmp_path / "kept").read_text() == "done", closed


def test_a_whole_command_is_read_by_halves() -> None:
    command = f"{sys.executable} -m sret_search cost sret_t | head -n 1; echo ${{PIPESTATUS[@]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0 0"
