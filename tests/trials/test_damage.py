"""Damage to what a study has written: it is named in one line, or nothing of it counts; a number is
never changed by it unnoticed."""

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sret_search.execution.run import search
from sret_search.reporting.notices import notices
from sret_search.reporting.results import Results
from sret_search.study import Study, StudyError, load_study
from sret_search.trials import worker_files
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import RungResult, TrialResult

SPACE = """\
architecture: sret_digits
axes: {stages.*.loops: {choices: [1, 2, 3]}}
"""
STUDY = """\
study: s
space: space.yaml
recipe: {epochs: 4}
objectives: {accuracy: max}
scheduler: {name: asha}
"""
METRICS = {
    "epoch": 1, "step": 20, "train_loss": 1.0, "val_loss": 1.5, "val_accuracy": 0.25, "seconds": 3.0,
}  # fmt: skip
RESULT = {
    "state": "complete", "val_accuracy": 0.53125, "val_loss": 1.25, "test_accuracy": 0.46875,
    "test_loss": 1.5, "epochs": 4, "steps": 80, "seconds": 12.5, "reruns": [],
    "history": [METRICS], "environment": {"python": "3.11", "cpu": "AVX2"},
}  # fmt: skip
DATABASE = Path("runs/s/study.db")

pytestmark = pytest.mark.usefixtures("here")


def study(text: str = STUDY) -> Study:
    Path("space.yaml").write_text(SPACE)
    Path("s.yaml").write_text(text)
    return load_study(Path("s.yaml"))


def begin(made: Study, ledger: Ledger, place: int) -> TrialRecord:
    candidate = made.grid[place]
    job = made.job(candidate, 0, "cpu")
    return ledger.begin(job, candidate.values, 1258)


def written(made: Study) -> None:
    """A complete trial, one that was stopped at a rung, and one that runs."""
    ledger = Ledger.create(made)
    ledger.tell(begin(made, ledger, 0), TrialResult.from_dict(RESULT))
    stopped = ledger.reach(
        begin(made, ledger, 1), 1, RungResult.from_dict(METRICS | {"seconds": 3.0})
    )
    ledger.tell(stopped, stopped.stopped)
    begin(made, ledger, 2)
    ledger.close()


def read(made: Study) -> list[Any]:
    """All that a ledger tells."""
    ledger = Ledger.read(made)
    try:
        entries, described = ledger.entries(), ledger.description
        return [entries, described, ledger.declarations, ledger.window]
    finally:
        ledger.close()


def refused(made: Study) -> str:
    with pytest.raises(StudyError) as error:
        read(made)
    message = str(error.value)
    assert "\n" not in message
    return message


def change(statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(DATABASE)) as database, database:
        assert database.execute(statement, values).rowcount == 1


def flips(content: bytes, number: int) -> list[tuple[int, int]]:
    """Places and bits, half of them in what was written as text."""
    rng = random.Random(3)
    texts = [place for place, byte in enumerate(content) if 32 < byte < 127]
    places = [rng.choice(texts) if i % 2 else rng.randrange(len(content)) for i in range(number)]
    return [(place, rng.randrange(8)) for place in places]


def test_no_flipped_bit_changes_what_a_ledger_tells_unnoticed() -> None:
    made = study()
    written(made)
    whole, content = read(made), DATABASE.read_bytes()
    said = []
    for place, bit in flips(content, 60):
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        DATABASE.write_bytes(damaged)
        try:
            assert read(made) == whole, (place, bit)
        except StudyError as error:
            said.append(str(error))
    assert len(said) > 10
    assert [message for message in said if "\n" in message] == []


OF_TRIAL = "UPDATE trial_user_attributes SET value_json = replace(value_json, ?, ?) WHERE key = ? AND trial_id = ?"
OF_STUDY = "UPDATE study_user_attributes SET value_json = replace(value_json, ?, ?) WHERE key = ?"


@pytest.mark.parametrize(
    ("statement", "values", "said"),
    [
        (OF_TRIAL, ("0.53125", "0.93125", "outcome", 1), "trial 0: its digest differs"),
        (OF_TRIAL, ('"state": "c', '"ztate": "c', "outcome", 1), "trial 0: its digest differs"),
        (OF_TRIAL, ("0.25", "0.75", "rungs", 2), "trial 1: its digest differs"),
        (OF_TRIAL, ('"seed": 0', '"seed": 1', "job", 1), "trial 0: its digest differs"),
        (OF_TRIAL, ('"params": ', '"params": 1', "facts", 3), "trial 2: its digest differs"),
        (OF_TRIAL, ("{", "[", "values", 3), "trial 2: its digest differs"),
        (OF_TRIAL, ("}", "", "outcome", 1), "trial 0: its digest differs"),
        ("UPDATE trials SET state = 'PRUNED' WHERE trial_id = ?", (1,), "state PRUNED"),
        (
            "UPDATE trials SET state = 'RUNNINF' WHERE trial_id = ?",
            (3,),
            "trial 2: it lacks a part",
        ),
        ("UPDATE trials SET number = 5 WHERE trial_id = ?", (2,), "trial 1 is missing"),
        ("DELETE FROM trials WHERE trial_id = ?", (1,), "trial 0 is missing"),
        (OF_STUDY, ('"classes": 10', '"classes": 11', "study"), "its digest differs"),
        (OF_STUDY, ('"begun": 0', '"begun": 3', "declarations"), "its digest differs"),
        ("UPDATE studies SET study_name = ?", ("r",), "it has the study r in place of s"),
        ("DELETE FROM study_user_attributes WHERE key = ?", ("study",), "nothing of what they are"),
    ],
)
def test_what_is_not_as_it_was_told_is_refused_by_name(
    statement: str, values: tuple[Any, ...], said: str
) -> None:
    made = study()
    written(made)
    change(statement, *values)
    before = DATABASE.read_bytes()
    with pytest.raises(StudyError) as refusal:
        Ledger.create(made).entries()
    message = str(refusal.value)
    assert "\n" not in message
    assert message.startswith("runs/s/study.db: the database is damaged (")
    assert said in message
    assert "put a copy of it back, or start anew with --fresh" in message
    if "studies" in statement or "DELETE" in statement:
        assert DATABASE.read_bytes() == before
        return
    assert said in refused(made)


def test_a_ledger_of_an_earlier_program_has_no_digests_and_opens() -> None:
    made = study()
    written(made)
    whole = read(made)
    for table in ("trial_user_attributes", "study_user_attributes"):
        with closing(sqlite3.connect(DATABASE)) as database, database:
            database.execute("DELETE FROM trial_user_attributes WHERE key = 'digest'")
            for row, text in database.execute(f"SELECT rowid, value_json FROM {table}").fetchall():
                plain = json.loads(text, object_hook=without_digest)
                change = f"UPDATE {table} SET value_json = ? WHERE rowid = ?"
                database.execute(change, (json.dumps(plain), row))
    assert b"digest" not in b"".join(path.read_bytes() for path in DATABASE.parent.glob("study.db"))
    assert read(made) == whole
    ledger = Ledger.create(made)
    entry = ledger.tell(ledger.entries()[2], TrialResult.from_dict(RESULT))
    assert entry.state == "complete"
    assert [entry.state for entry in ledger.entries()] == ["complete", "stopped", "complete"]
    ledger.close()


def without_digest(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain.items() if name != "digest"}


def with_metric(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(result: dict[str, Any]) -> None:
        result["history"] = [METRICS | {name: value}]

    return change


def with_rerun(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(result: dict[str, Any]) -> None:
        sound = {"executions": 4, "val_accuracy": 0.5, "val_loss": 1.0, "test_accuracy": 0.5}
        result["reruns"] = [sound | values]

    return change


@pytest.mark.parametrize("name", ["val_accuracy", "val_loss", "test_accuracy", "epochs", "seconds"])
@pytest.mark.parametrize(
    "value", [None, "0.5", float("nan"), float("inf"), True, [0.5], {}, -1e400]
)
def test_a_result_with_a_value_that_is_no_number_is_as_good_as_absent(
    name: str, value: Any
) -> None:
    made = study()
    ledger = Ledger.create(made)
    entry = begin(made, ledger, 0)
    file = Path(ledger.folders.new_attempt(0), "result.json")
    sound = RESULT | {"job": entry.job.identity}
    file.write_text(json.dumps(sound))
    assert ledger.outcome(entry) == TrialResult.from_dict(sound)
    file.write_text(json.dumps(sound | {name: value}))
    assert ledger.outcome(entry) is None
    file.write_text(json.dumps({key: value for key, value in sound.items() if key != name}))
    assert ledger.outcome(entry) is None
    ledger.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda result: result.update(val_accuracy=1.5),
        lambda result: result.update(val_accuracy=-0.5),
        lambda result: result.update(state="complett"),
        lambda result: result.update(state=["complete"]),
        lambda result: result.update(steps="80"),
        lambda result: result.update(test_loss="1"),
        lambda result: result.update(history={}),
        lambda result: result.update(environment=[]),
        lambda result: result.update(latency_ms="fast"),
        with_metric("val_loss", float("nan")),
        with_metric("val_accuracy", "high"),
        with_metric("epoch", 0.5),
        with_rerun(val_accuracy=None),
        with_rerun(),
    ],
)
def test_a_result_that_no_training_writes_is_as_good_as_absent(
    change: Callable[[dict[str, Any]], None],
) -> None:
    made = study()
    ledger = Ledger.create(made)
    entry = begin(made, ledger, 0)
    result = json.loads(json.dumps(RESULT | {"job": entry.job.identity}))
    change(result)
    Path(ledger.folders.new_attempt(0), "result.json").write_text(json.dumps(result))
    assert ledger.outcome(entry) is None
    ledger.close()


def test_a_loss_of_weights_that_run_as_they_were_not_trained_may_be_no_number() -> None:
    made = study()
    ledger = Ledger.create(made)
    entry = begin(made, ledger, 0)
    result = RESULT | {"job": entry.job.identity, "test_loss": float("nan")}
    Path(ledger.folders.new_attempt(0), "result.json").write_text(json.dumps(result))
    assert ledger.outcome(entry) is not None
    ledger.close()


@pytest.mark.parametrize("value", [None, "0.5", float("nan"), 2.0])
def test_a_rung_or_an_error_that_is_damaged_is_as_good_as_absent(value: Any) -> None:
    made = study()
    ledger = Ledger.create(made)
    entry = begin(made, ledger, 0)
    attempt = Path(ledger.folders.new_attempt(0))
    reached = METRICS | {"seconds": 1.0, "job": entry.job.identity}
    (attempt / "rung-1.json").write_text(json.dumps(reached))
    assert worker_files.reached(ledger.folders, entry, 1) == RungResult.from_dict(reached)
    (attempt / "rung-1.json").write_text(json.dumps(reached | {"val_accuracy": value}))
    assert worker_files.reached(ledger.folders, entry, 1) is None
    error = {"state": "failed", "cause": "error", "reason": value, "job": entry.job.identity}
    (attempt / "error.json").write_text(json.dumps(error))
    found = ledger.outcome(entry)
    assert found == (TrialResult.from_dict(error) if isinstance(value, str) else None)
    ledger.close()


def ended(made: Study) -> None:
    """Every trial of a study, complete, with the folder of an attempt."""
    ledger = Ledger.create(made)
    for place in range(len(made.grid)):
        entry = begin(made, ledger, place)
        Path(ledger.folders.new_attempt(entry.number), "worker.json").write_text("{}")
        ledger.tell(entry, TrialResult.from_dict(RESULT))
    ledger.close()


def searched(made: Study, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a study in which nothing is left to train."""
    ledger = Ledger.create(made)
    assert search(made, ledger).complete
    ledger.close()
    return capsys.readouterr().err


def test_trials_whose_folders_are_gone_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    made = study(STUDY.replace("scheduler: {name: asha}\n", "storage: {trials: first}\n"))
    ended(made)
    assert searched(made, capsys) == ""
    Path("first/s/00001").rename("elsewhere")
    said = searched(made, capsys)
    assert said.startswith("first/s lacks the folders of 1 of 3 trials (1): their results are in")
    assert said.count("\n") == 1
    assert [
        text
        for text in notices(Results.read(made))
        if "The folder of 1 complete trial is not" in text
    ]

    Path("s.yaml").write_text(Path("s.yaml").read_text().replace("first", "second"))
    made = load_study(Path("s.yaml"))
    said = searched(made, capsys)
    assert said.startswith("second/s lacks the folders of 3 of 3 trials (0, 1, 2): ")
    assert said.endswith(f"; they were in {Path('first/s').absolute()} when it last ran\n")


def test_a_branch_whose_parent_has_no_folder_is_refused_for_that_reason() -> None:
    branches = "branches: [{trial: 1, recipe: {epochs: 5}}]\n"
    made = study(STUDY.replace("scheduler: {name: asha}\n", branches))
    ended(made)
    shutil.rmtree("runs/s/trials")
    with pytest.raises(StudyError, match=r"branches.0: the folder of trial 1 is not in runs/s/tri"):
        search(made, Ledger.create(made))
