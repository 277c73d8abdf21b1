"""The ledger, without Ray and without training."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage

from sret_search.cost import cost, stored_bytes, train_memory
from sret_search.job import train_macs
from sret_search.run import _keep_aside, _retry_failed
from sret_search.search.samplers import build
from sret_search.study import Study, StudyError, load_study
from sret_search.trials import worker_files
from sret_search.trials.compatibility import FORMAT
from sret_search.trials.database import DiskFullError
from sret_search.trials.history import History
from sret_search.trials.lease import StudyHeldError
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 8]}
  nll.share: {choices: [none, block]}
  nll.ratio: {choices: [0.5, 1.0], when: {nll.share: [block]}}
  recipe.lr: {low: 1e-3, high: 1e-2, log: true}
budget: {params: {max: 45_000}}
"""
OUTCOME = {
    "state": "complete", "val_accuracy": 0.5, "val_loss": 1.0, "test_accuracy": 0.4, "epochs": 1,
    "seconds": 1.0, "reruns": [], "history": [], "environment": {}, "test_loss": 1.0,
}  # fmt: skip


def study(folder: Path, search: str, space: str = SPACE, extra: str = "") -> Study:
    (folder / "space.yaml").write_text(space)
    (folder / "study.yaml").write_text(f"study: s\nspace: space.yaml\nsearch: {search}\n{extra}")
    return load_study(folder / "study.yaml")


pytestmark = pytest.mark.usefixtures("here")


def begin_all(made: Study, ledger: Ledger, limit: int = 100) -> list[int]:
    """Ask and end trials until the sampler has no more."""
    sampler, history = build.build(made), History(made, ledger.entries())
    numbers = []
    while len(numbers) < limit and (asked := sampler.ask(history)) is not None:
        job = made.job(asked.candidate, made.file.search.seed + asked.seed, "cpu")
        entry = ledger.begin(job, asked.candidate.values, 1258)
        history.begin(entry)
        history.end(ledger.tell(entry, TrialResult.from_dict(OUTCOME)))
        numbers.append(entry.number)
    return numbers


def begin(made: Study, ledger: Ledger) -> TrialRecord:
    """Begin the first trial."""
    asked = build.build(made).ask(History(made, [])) or pytest.fail("nothing asked")
    return ledger.begin(made.job(asked.candidate, asked.seed, "cpu"), asked.candidate.values, 1258)


def test_a_longer_study_extends_the_ledger_and_a_new_recipe_makes_new_trials(
    tmp_path: Path,
) -> None:
    space = "architecture: sret_digits\naxes: {stages.*.loops: {choices: [1, 2]}}\n"
    made = study(tmp_path, "{sampler: grid}", space)
    begin_all(made, Ledger.create(made))
    grown = space.replace("[1, 2]", "[1, 2, 8]")
    more = study(tmp_path, "{sampler: grid}", grown)
    ledger = Ledger.create(more)
    assert begin_all(more, ledger) == [2]
    longer = study(tmp_path, "{sampler: grid}", grown, "recipe: {epochs: 11}\n")
    assert begin_all(longer, Ledger.create(longer)) == [3, 4, 5]


def test_an_edit_that_makes_trials_incomparable_is_refused_with_the_difference(
    tmp_path: Path,
) -> None:
    space = "architecture: sret_digits\naxes: {nll.share: {choices: [none, block]}}\n"
    made = study(tmp_path, "{sampler: grid}", space)
    begin_all(made, Ledger.create(made))
    split = study(tmp_path, "{sampler: grid}", space, "data: {name: digits, split_seed: 1}\n")
    with pytest.raises(StudyError, match=r'data was .*"split_seed": 0.* and is now .*: 1'):
        Ledger.create(split)


def test_choices_may_come_and_go(tmp_path: Path) -> None:
    space = "architecture: sret_digits\naxes: {nll.share: {choices: [none, block]}}\n"
    made = study(tmp_path, "{sampler: grid}", space)
    assert len(begin_all(made, Ledger.create(made))) == 2
    other = study(tmp_path, "{sampler: grid}", space.replace("[none, block]", "[stage, none]"))
    ledger = Ledger.create(other)
    assert begin_all(other, ledger) == [2]
    shares = [entry.values["nll.share"] for entry in ledger.entries()]
    assert sorted(shares[:2]) == ["block", "none"]
    assert shares[2] == "stage"
    # The database itself, as a dashboard reads it, has the same values.
    stored = optuna.load_study(study_name="s", storage="sqlite:///runs/s/study.db")
    assert [json.loads(trial.params["nll.share"]) for trial in stored.trials] == shares


def test_whole_numbers_may_become_fractions_but_not_words(tmp_path: Path) -> None:
    space = "architecture: sret_digits\naxes: {stages.*.mlp_ratio: {choices: [1, 2]}}\n"
    made = study(tmp_path, "{sampler: grid}", space)
    begin_all(made, Ledger.create(made))
    finer = study(tmp_path, "{sampler: grid}", space.replace("[1, 2]", "[1.5]"))
    assert begin_all(finer, Ledger.create(finer)) == [2]
    stored = optuna.load_study(study_name="s", storage="sqlite:///runs/s/study.db")
    assert sorted(trial.params["stages.*.mlp_ratio"] for trial in stored.trials) == [1, 1.5, 2]


def test_a_study_without_trials_takes_any_edit(tmp_path: Path) -> None:
    Ledger.create(study(tmp_path, "{sampler: random, trials: 1}")).close()
    extra = "data: {split_seed: 4}\nobjectives: {loss: min, macs: min, params: min}\n"
    edited = study(tmp_path, "{sampler: random, trials: 1}", extra=extra)
    ledger = Ledger.create(edited)
    assert begin_all(edited, ledger) == [0]
    assert ledger.entries()[0].job.data.split_seed == 4


def test_costs_are_known_and_the_rest_is_measured(tmp_path: Path) -> None:
    names = "accuracy: max, loss: min, params: min, macs: min, train_macs: min, memory: min,"
    names += " bytes: min, bytes_bf16: min, bytes_int8: min"
    extra = f"objectives: {{{names}, latency_ms: min}}\nlatency: {{batch_size: 8}}\n"
    made = study(tmp_path, "{sampler: random, trials: 1}", extra=extra)
    ledger = Ledger.create(made)
    entry = begin(made, ledger)
    assert entry.job.latency == 8
    ledger.tell(entry, TrialResult.from_dict(OUTCOME | {"latency_ms": 2.5, "latency_spread": 0.01}))
    (trial,) = optuna.load_study(study_name="s", storage="sqlite:///runs/s/study.db").trials
    a, recipe = entry.job.architecture, entry.job.recipe
    known = [cost(a).params, cost(a).macs, train_macs(a, recipe, 1258)]
    memory = train_memory(a, recipe.batch_size).total
    bytes_of_weights = [stored_bytes(a, kind) for kind in ("float32", "bf16", "int8")]
    assert trial.values == [0.5, 1.0, *known, memory, *bytes_of_weights, 2.5]
    assert ledger.entries()[0].result.latency_spread == 0.01


def test_a_latency_of_other_batches_is_not_compared(tmp_path: Path) -> None:
    extra = "objectives: {accuracy: max, latency_ms: min}\n"
    made = study(tmp_path, "{sampler: random, trials: 1}", extra=extra)
    begin(made, Ledger.create(made))
    other = study(
        tmp_path, "{sampler: random, trials: 2}", extra=extra + "latency: {batch_size: 8}\n"
    )
    with pytest.raises(StudyError, match="latency was"):
        Ledger.create(other)


def test_a_result_in_the_folder_is_found(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 2}")
    ledger = Ledger.create(made)
    entry = begin(made, ledger)
    dead, alive = (Path(ledger.folders.new_attempt(0)) for _ in range(2))
    assert ledger.outcome(entry) is None
    (dead / "result.json").write_text('{"state": "compl')
    assert ledger.outcome(entry) is None
    (alive / "result.json").write_text(json.dumps(OUTCOME | {"job": "another job"}))
    assert ledger.outcome(entry) is None
    written = OUTCOME | {"job": entry.job.identity, "environment": {"torch": "2"}}
    (alive / "result.json").write_text(json.dumps(written))
    outcome = ledger.outcome(entry)
    assert outcome is not None
    told = ledger.tell(entry, outcome)
    assert (told.state, told.result.val_accuracy) == ("complete", 0.5)
    (again,) = Ledger.create(made).entries()
    assert (again.state, again.job) == (told.state, entry.job)
    # Reports read what the driver has no use for.
    assert told.result.environment == {}
    assert again.result == replace(told.result, environment={"torch": "2"})
    with pytest.raises(UpdateFinishedTrialError):
        ledger.tell(entry, outcome)


@pytest.mark.parametrize(
    ("cause", "ends"), [("data", False), ("out of memory", False), ("error", True)]
)
def test_only_an_error_in_code_ends_a_trial_at_once(cause: str, ends: bool, tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 2}")
    ledger = Ledger.create(made)
    entry = begin(made, ledger)
    attempt = ledger.folders.new_attempt(0)
    error = {"state": "failed", "job": entry.job.identity, "reason": "why", "cause": cause}
    (Path(attempt) / "error.json").write_text(json.dumps(error))
    failed = TrialResult.from_dict(error)
    assert worker_files.error(ledger.folders, entry, attempt) == failed
    assert ledger.outcome(entry) == (failed if ends else None)


def test_a_crash_between_outcome_and_state_leaves_the_trial_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = study(tmp_path, "{sampler: random, trials: 1}")
    ledger = Ledger.create(made)
    entry = begin(made, ledger)
    with monkeypatch.context() as patch:
        patch.setattr(RDBStorage, "set_trial_state_values", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ledger.tell(entry, TrialResult.from_dict(OUTCOME))
    (again,) = ledger.entries()
    assert again.open
    assert again.result == TrialResult()
    assert ledger.tell(again, TrialResult.from_dict(OUTCOME)).state == "complete"


def test_a_full_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = study(tmp_path, "{sampler: random, trials: 1}")
    ledger = Ledger.create(made)
    said: list[str] = []
    ledger.wait_for_space = said.append
    create = RDBStorage.create_new_trial

    def full_twice(*arguments: Any, **named: Any) -> int:
        if len(said) < 2:
            raise DiskFullError("the disk is full")
        return create(*arguments, **named)

    monkeypatch.setattr(RDBStorage, "create_new_trial", full_twice)
    assert begin(made, ledger).number == 0
    assert said == ["the disk is full"] * 2


def test_nothing_is_written_without_the_lease(tmp_path: Path) -> None:
    class Lost:
        def check(self) -> None:
            if armed:
                raise StudyHeldError("taken over")

    armed: list[bool] = []
    made = study(tmp_path, "{sampler: random, trials: 2}")
    ledger = Ledger.create(made, Lost())
    entry = begin(made, ledger)
    armed.append(True)
    for write in (
        lambda: begin(made, ledger),
        lambda: ledger.tell(entry, TrialResult.from_dict(OUTCOME)),
        lambda: ledger.fail(entry, "worker died"),
    ):
        with pytest.raises(StudyHeldError):
            write()
    assert [one.state for one in Ledger.read(made).entries()] == ["running"]


def test_failures_are_counted_by_cause(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 1}")
    ledger = Ledger.create(made)
    entry = begin(made, ledger)
    for cause in ("worker died", "out of memory", "worker died"):
        entry = ledger.fail(entry, cause)
    assert entry.failures == {"worker died": 2, "out of memory": 1}
    assert Ledger.create(made).entries()[0].failures == entry.failures


def test_a_failed_trial_is_tried_again_and_what_it_failed_with_stays(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 2}")
    ledger = Ledger.create(made)
    entries = [begin(made, ledger) for _ in range(2)]
    attempt = Path(ledger.folders.new_attempt(0))
    error = {"state": "failed", "cause": "error", "reason": "KeyError: 3"}
    (attempt / "error.json").write_text(json.dumps(error | {"job": entries[0].job.identity}))
    ledger.tell(entries[0], ledger.outcome(entries[0]) or TrialResult())
    ledger.tell(entries[1], TrialResult.from_dict(OUTCOME))
    failed, _ = ledger.entries()
    assert failed.state == "failed"
    ledger.retry(failed)
    again = Ledger.create(made)
    opened, complete = again.entries()
    assert (opened.state, complete.state) == ("running", "complete")
    assert opened.ended is None
    assert opened.text == failed.text
    assert [end.result.reason for end in opened.retried.ended] == ["KeyError: 3"]
    assert again.outcome(opened) is None, "the error of an attempt before that is no end"
    later = Path(again.folders.new_attempt(0))
    (later / "error.json").write_text(json.dumps(error | {"job": opened.job.identity}))
    assert again.outcome(opened) == TrialResult.from_dict(error)
    again.tell(opened, TrialResult.from_dict(OUTCOME))
    assert [entry.state for entry in Ledger.read(made).entries()] == ["complete"] * 2


def test_the_command_says_which_trials_it_tries_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = study(tmp_path, "{sampler: random, trials: 3}")
    ledger = Ledger.create(made)
    entries = [begin(made, ledger) for _ in range(3)]
    for entry in entries[1:]:
        ledger.tell(
            entry, TrialResult.from_dict({"state": "failed", "cause": "machine", "reason": "ECC"})
        )
    for said in ("tried again: trial 1, 2\n", "tried again: no trial, since none failed\n"):
        _retry_failed(ledger)
        assert capsys.readouterr().out == said
    assert [entry.state for entry in ledger.entries()] == ["running"] * 3


def test_diverged_trials_are_results(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 1}")
    ledger = Ledger.create(made)
    entry = begin(made, ledger)
    ledger.tell(
        entry,
        TrialResult.from_dict({"state": "diverged", "reason": "the loss became nan at step 3"}),
    )
    (again,) = ledger.entries()
    assert (again.state, again.result.reason) == ("diverged", "the loss became nan at step 3")


def test_the_window_is_fixed_once(tmp_path: Path) -> None:
    eager = Ledger.create(study(tmp_path, "{sampler: random, trials: 1}"))
    eager.freeze(3)
    assert eager.window is None
    made = study(tmp_path, "{sampler: random, trials: 1, order: strict}")
    ledger = Ledger.create(made)
    ledger.freeze(3)
    ledger.freeze(5)
    begin(made, ledger)
    assert Ledger.create(made).window == 3
    other = study(tmp_path, "{sampler: random, trials: 1}")
    with pytest.raises(StudyError, match=r"search\.order was strict and is now eager"):
        Ledger.create(other)


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 1}")
    ledger = Ledger.create(made)
    begin(made, ledger)
    for number, what in ((FORMAT + 1, "a newer"), (1, "an older")):
        description = ledger.description.changed(format=number)
        ledger._remember("study", replace(ledger._attributes, description=description))
        for refused in (Ledger.create, Ledger.read):
            with pytest.raises(StudyError, match=f"written by {what} sret_search .format {number}"):
                refused(made)


@pytest.mark.parametrize("place", ["storage: {}", "storage: {trials: elsewhere}"])
def test_a_fresh_start_keeps_ledger_and_trials_aside(place: str, tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 1}", extra=f"{place}\n")
    ledger = Ledger.create(made)
    begin_all(made, ledger)
    attempt = Path(ledger.folders.new_attempt(0))
    (attempt / "result.json").write_text("{}")
    ledger.close()
    _keep_aside(made)
    assert Ledger.create(made).entries() == []
    kept = [path for path in tmp_path.rglob("result.json") if path != attempt / "result.json"]
    assert len(kept) == 1
    assert not attempt.exists()
    _keep_aside(made)
    assert len(list(tmp_path.rglob("study.db"))) == 2


def test_a_job_survives_the_ledger(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 1}")
    ledger = Ledger.create(made)
    begin_all(made, ledger)
    (entry,) = ledger.entries()
    assert replace(entry.job, seed=entry.job.seed) == entry.job
    assert entry.job.recipe.lr == entry.values["recipe.lr"]
