"""The part of the Python API that works on whole studies: run a study, and read its results."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sret_search.errors import DONE
from sret_search.study import Study, load_study

if TYPE_CHECKING:
    import pandas as pd


class RunError(Exception):
    """A run ended before its study was done, or with a failed trial.

    Attributes:
        code: exit code of `sret-search run`: 1 if a trial or the program failed, 2 if a file or an
            argument must be corrected, 3 if it was stopped and can be resumed.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message or f"the run ended with code {code}")
        self.code = code


def run_study(study: Study | Path | str, *, fresh: bool = False) -> pd.DataFrame:
    """Run a study or resume it, as `sret-search run` does, and return its `results`.

    The study runs in a process of its own, so a notebook survives any end of it. Its
    output is printed as it comes. An interrupt stops the study in order, and the same call resumes
    it.

    Args:
        study: a study file, or a loaded study.
        fresh: keep the old study aside and start again.

    Raises:
        StudyError: the file or its space has errors; the message lists all of them.
        RunError: the study did not come to its end, or a trial failed.
    """
    loaded = _loaded(study)
    options = ["--fresh"] if fresh else []
    command = [sys.executable, "-m", "sret_search.run", *options, "--", str(loaded.path)]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",  # the child's output may have another encoding than files here
        process_group=0,
    )
    assert child.stdout is not None
    last = ""
    try:
        for line in child.stdout:
            last = line.strip() or last
            print(line, end="", flush=True)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        print(child.stdout.read(), end="", flush=True)
        raise
    finally:
        child.stdout.close()
        code = child.wait()
    if code != DONE:
        raise RunError(code, last)
    return results(loaded)


def results(study: Study | Path | str) -> pd.DataFrame:
    """Results of a study as a table with a row for each trial, also while the study runs.

    Columns: number, candidate, state, seed, accuracies (fractions), costs, epochs, seconds, then
    the values of the study's axes. Test accuracy is empty if a choice was made by it.

    Raises:
        StudyError: the file has errors, or the study was never run.
    """
    from sret_search.reporting.results import Results

    return Results.read(_loaded(study)).table


def _loaded(study: Study | Path | str) -> Study:
    return study if isinstance(study, Study) else load_study(study)
