"""optuna-dashboard reads a study while it is written: it sees all, locks nothing, changes nothing."""

import importlib.util
import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from sret_search.study import Study, load_study
from sret_search.trials import sqlite
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial_result import TrialResult

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("optuna_dashboard") is None,
    reason="no optuna-dashboard: pip install 'sret-search[dashboard]'",
)

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4]}
  nll.share: {choices: [none, block]}
  recipe.lr: {low: 1e-4, high: 1e-2, log: true}
"""
STUDY = """\
study: watched
space: space.yaml
objectives: {accuracy: max, params: min}
search: {sampler: random, trials: 500}
"""
DATABASE = Path("runs/watched/study.db")
READ_ONLY = f"sqlite:///file:{DATABASE}?mode=ro&uri=true"
OUTCOME = {"state": "complete", "val_accuracy": 0.75, "val_loss": 0.5, "epochs": 1, "seconds": 1.0}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text(STUDY)
    return load_study(Path("study.yaml"))


def write(study: Study, ledger: Ledger, numbers: range, *, end: bool = True) -> None:
    """Begin trials, and end them."""
    for number in numbers:
        share = ("none", "block")[number % 2]
        lr = 10 ** (-4 + number % 500 / 250)
        values = {"stages.*.loops": 2, "nll.share": share, "recipe.lr": lr}
        candidate = study.feasible(values)
        assert candidate is not None
        entry = ledger.begin(study.job(candidate, number, "cpu"), values, 1258)
        assert entry.number == number
        if end:
            ledger.tell(entry, TrialResult.from_dict(OUTCOME))


def content() -> list[str]:
    """All that the database has."""
    with closing(sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


class Dashboard:
    """The dashboard, as a browser sees it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def get(self, path: str) -> dict:
        status, body = self.ask(path)
        assert status == 200, (path, body[:300])
        return json.loads(body)

    def read_all(self) -> dict:
        """Ask for every page that shows the study; what the study's own page says."""
        assert self.ask("/")[0] == 302
        assert b"<html" in self.ask("/dashboard")[1].lower()
        (summary,) = self.get("/api/studies")["study_summaries"]
        shown = self.get(f"/api/studies/{summary['study_id']}")
        assert summary["study_name"] == shown["name"] == "watched"
        assert self.ask(f"/csv/{summary['study_id']}")[0] == 200
        return shown


@contextmanager
def dashboard(storage: str) -> Iterator[Dashboard]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Path(sys.executable).with_name("optuna-dashboard")
    process = subprocess.Popen(
        [command, storage, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    served = Dashboard(port)
    try:
        while True:
            try:
                served.ask("/api/meta")
                break
            except ConnectionRefusedError:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.05)
        yield served
    finally:
        process.kill()
        process.communicate()


def test_a_reader_in_the_middle_of_reading_holds_up_nothing(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_PATIENCE", 0.0)
    ledger = Ledger.create(study)
    write(study, ledger, range(2))
    with closing(sqlite3.connect(DATABASE, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        (before,) = reader.execute("SELECT count(*) FROM trials").fetchone()
        write(study, ledger, range(2, 4))
        assert reader.execute("SELECT count(*) FROM trials").fetchone() == (before,) == (2,)
    assert len(ledger.entries()) == 4
    ledger.close()


def test_a_study_is_watched_while_it_is_written(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A writer that has to wait for a reader, be it for a moment, fails.
    monkeypatch.setattr(sqlite, "_PATIENCE", 0.0)
    ledger = Ledger.create(study)
    write(study, ledger, range(5))
    before = content()
    with dashboard(f"sqlite:///{DATABASE}") as served:
        shown = served.read_all()
        assert content() == before
        assert shown["directions"] == ["maximize", "minimize"]
        assert shown["objective_names"] == ["accuracy", "params"]
        assert [trial["number"] for trial in shown["trials"]] == list(range(5))

        over, rounds = threading.Event(), 0

        def watch() -> None:
            nonlocal rounds
            while not over.is_set():
                served.read_all()
                rounds += 1

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            number = 5
            while (number < 20 or rounds < 5) and watcher.is_alive():
                write(study, ledger, range(number, number + 1))
                number += 1
        finally:
            over.set()
            watcher.join()
        assert rounds >= 5
        write(study, ledger, range(number, number + 1), end=False)

        before = content()
        shown = served.read_all()
        while len(shown["trials"]) <= number:  # it shows for seconds what it has read before
            time.sleep(0.1)
            shown = served.read_all()
        assert content() == before
    entries = ledger.entries()
    ledger.close()
    assert len(entries) == number + 1
    for entry, trial in zip(entries, shown["trials"], strict=True):
        assert trial["number"] == entry.number
        values = {param["name"]: param["param_external_value"] for param in trial["params"]}
        assert values["stages.*.loops"] == "2"
        assert json.loads(values["nll.share"]) == entry.values["nll.share"]
        assert float(values["recipe.lr"]) == entry.values["recipe.lr"]
    *ended, running = shown["trials"]
    assert [trial["state"] for trial in ended] == ["Complete"] * number
    assert all(trial["values"][0] == 0.75 and trial["values"][1] > 10_000 for trial in ended)
    assert (running["state"], running.get("values")) == ("Running", None)


def test_a_dashboard_that_may_only_read_cannot_change_a_study(study: Study) -> None:
    ledger = Ledger.create(study)
    write(study, ledger, range(3))
    before = content()
    with dashboard(READ_ONLY) as served:
        assert len(served.read_all()["trials"]) == 3
        assert served.ask("/api/studies/1", "DELETE")[0] == 500
        write(study, ledger, range(3, 4))
        assert len(ledger.entries()) == 4
        assert content() != before
    ledger.close()
