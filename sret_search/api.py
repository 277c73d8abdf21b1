"""What the Python API does with whole studies: run one, and read its results."""

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
    """A run ended otherwise than done.

    Attributes:
        code: the exit code of `sret-search run`: 1 where a trial or the program failed, 2 where
            something is to be mended, 3 where it was stopped and can be resumed.
    """

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said or f"the run ended with code {code}")
        self.code = code


def run_study(study: Study | Path | str, *, fresh: bool = False) -> pd.DataFrame:
    """Run a study or resume it, as `sret-search run` does, and give its `results`.

    It runs in a process of its own, so that a notebook outlives whatever happens to it. What it
    says is printed as it comes. Interrupting stops the study in order: the same call resumes it.

    Args:
        study: a study file, or the study that was loaded from it.
        fresh: keep the old study aside and start anew.

    Raises:
        StudyError: everything that is wrong with the file or its space.
        RunError: the study did not come to its end, or a trial failed.
    """
    found = _loaded(study)
    command = [sys.executable, "-m", "sret_search.run", *["--fresh"] * fresh, "--", str(found.path)]
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
    return results(found)


def results(study: Study | Path | str) -> pd.DataFrame:
    """One row a trial of a study, also while it runs: number, candidate, state, seed, accuracies
    (fractions), costs, epochs, seconds, then the values of the study's axes.

    Test accuracy is there only where nothing was chosen by it.

    Raises:
        StudyError: the file is wrong, or the study was never run.
    """
    from sret_search.reporting.results import Results

    return Results.read(_loaded(study)).table


def _loaded(study: Study | Path | str) -> Study:
    return study if isinstance(study, Study) else load_study(study)
