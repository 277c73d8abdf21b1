"""Rungs between Ray and the ledger, with a Ray that is only played, and drivers that die."""

import json
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher
from test_searcher import Played

from sret_search.study import StudyError, load_study
from sret_search.trials.database import open_storage
from sret_search.trials.ledger import Ledger

ASHA = "objectives: {accuracy: max}\nscheduler: {name: asha, eta: 2}\nrecipe: {epochs: 4}\n"
MO_ASHA = "scheduler: {name: mo_asha, eta: 2, strata: 2}\nrecipe: {epochs: 4}\n"
STRICT = "{sampler: random, trials: 11, order: strict}"
SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4, 8]}
  recipe.lr: {low: 1e-4, high: 1e-2, log: true}
"""


pytestmark = pytest.mark.usefixtures("here")


def accuracy(number: int, epoch: int) -> float:
    """Made up; the order of trials changes from rung to rung."""
    return random.Random(f"{number} {epoch}").random()


def end(played: Played, name: str) -> None:
    """A worker comes to its rung, or to the end of the training."""
    number, until = played.number(name), played.configs[name]["until"]
    if until is None:
        played.complete(name, accuracy(number, 4))
        return
    reached = {
        "epoch": until, "val_accuracy": accuracy(number, until), "val_loss": 1.0,
        "seconds": float(until), "step": 1,
    }  # fmt: skip
    played.write(name, f"rung-{until}.json", reached)
    checkpoint = f"checkpoint-{until:08d}.pt"
    (Path(played.configs[name]["attempt"]) / checkpoint).write_bytes(bytes(10))
    played.searcher.on_trial_complete(name)


def run_on(played: Played, rng: random.Random) -> None:
    """Attempts end in a random order until the study is over."""
    active = []
    while True:
        while (name := played.suggest()) is not None:
            active.append(name)
        if not active:
            assert played.searcher.suggest("last") == Searcher.FINISHED
            assert played.searcher.over
            return
        end(played, active.pop(rng.randrange(len(active))))


def table(played: Played) -> list[tuple[Any, ...]]:
    return [
        (e.state, e.candidate, e.result.val_accuracy, json.dumps(e.plain_rungs), e.until)
        for e in played.ledger.entries()
    ]


def test_a_trial_goes_on_from_its_rung_as_another_attempt() -> None:
    played = Played(extra=ASHA)
    first, second = played.suggest(), played.suggest()
    assert first is not None and second is not None
    assert played.configs[first]["until"] == 1
    end(played, first)
    entry = played.ledger.entries()[0]
    assert (entry.state, entry.rungs[1].val_accuracy) == ("running", accuracy(0, 1))
    third = played.suggest()
    assert third is not None and played.number(third) == 2, "no slot waits with trial 0"
    end(played, second)
    better = max((0, 1), key=lambda number: accuracy(number, 1))
    promoted = played.suggest()
    assert promoted is not None and played.number(promoted) == better
    assert played.configs[promoted]["until"] == 2
    assert played.configs[promoted]["attempt"].endswith("attempt-2")
    assert len(played.configs[promoted]["earlier"]) == 1
    assert played.ledger.entries()[better].until == 2
    assert [entry.failures for entry in played.ledger.entries()] == [{}] * 3


def test_in_the_end_each_is_told_once_complete_or_pruned_with_its_rungs() -> None:
    played = Played(extra=ASHA)
    run_on(played, random.Random(0))
    entries = played.ledger.entries()
    states = Counter(entry.state for entry in entries)
    assert states["complete"] >= 1 and states["stopped"] >= 2 and len(entries) == 4
    stored = optuna.load_study(study_name="s", storage=open_storage(load_study(Path("study.yaml"))))
    for entry, trial in zip(entries, stored.trials, strict=True):
        assert (
            entry.plain_rungs == trial.user_attrs["rungs"] == trial.user_attrs["outcome"]["rungs"]
        )
        stopped = entry.state == "stopped"
        assert trial.state == (TrialState.PRUNED if stopped else TrialState.COMPLETE)
        if stopped:
            last = max(entry.rungs)
            assert entry.result.epochs == last
            assert entry.result.val_accuracy == accuracy(entry.number, last)
        assert entry.result.attempts == len(entry.rungs) + (not stopped)
    # The same command again: there is nothing to do, and nothing is told again.
    again = Played(extra=ASHA)
    assert again.searcher.suggest("x") == Searcher.FINISHED
    assert again.console.export_text() == ""
    assert "stopped after epoch" in played.console.export_text()


class Killed(Exception):
    """The driver is gone."""


def test_a_driver_that_dies_at_any_write_decides_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("test_searcher.SPACE", SPACE)
    golden = Played(STRICT, MO_ASHA)
    run_on(golden, random.Random(9))
    wanted = table(golden)
    assert {state for state, *_ in wanted} == {"complete", "stopped"}

    (tmp_path / "again").mkdir()
    monkeypatch.chdir(tmp_path / "again")
    rng, write, killed = random.Random(1), Ledger._write, 0

    def dying(ledger: Ledger, change: Any, made: Any = None) -> Any:
        nonlocal killed
        moment = rng.random()
        killed += moment < 0.2
        if moment < 0.1:
            raise Killed
        written = write(ledger, change, made)
        if moment < 0.2:
            raise Killed
        return written

    played = Played(STRICT, MO_ASHA)
    while not played.searcher.over:
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "_write", dying)
            with suppress(Killed):
                run_on(played, rng)
        if not played.searcher.over:
            played.ledger.close()
            played = Played(STRICT, MO_ASHA)
    assert killed >= 5
    assert table(played) == wanted


def test_a_rung_that_an_orphan_came_to_is_not_trained_for_again() -> None:
    played = Played(extra=ASHA, slots=1)
    name = played.suggest()
    assert name is not None
    played.searcher.on_trial_complete = lambda *given, **named: None  # type: ignore[method-assign]
    end(played, name)
    again = Played(extra=ASHA, slots=1)
    other = again.suggest()
    assert other is not None and again.number(other) == 1
    assert again.ledger.entries()[0].rungs.keys() == {1}


def test_a_worker_that_dies_on_its_way_to_a_rung_begins_again() -> None:
    played = Played(extra=ASHA, slots=1)
    name = played.suggest()
    assert name is not None
    played.die(name)
    again = played.suggest()
    assert again is not None and played.number(again) == 0
    assert played.configs[again]["until"] == 1


def test_a_trial_that_waits_keeps_its_last_checkpoint_alone() -> None:
    played = Played(extra=f"{ASHA}storage: {{quota: 0MB}}\n", slots=1)
    name = played.suggest()
    assert name is not None
    attempt = Path(played.configs[name]["attempt"])
    (attempt / "checkpoint-00000000.pt").touch()
    end(played, name)
    assert [file.name for file in attempt.glob("*.pt")] == ["checkpoint-00000001.pt"]


@pytest.mark.parametrize("after", ["", ASHA.replace("eta: 2", "eta: 3")])
def test_another_scheduler_would_not_decide_as_before(after: str) -> None:
    played = Played(extra=ASHA)
    assert played.suggest() is not None
    objectives = "" if "objectives" in after else "objectives: {accuracy: max}\n"
    with pytest.raises(StudyError, match=r'scheduler was {"name": "asha", "grace": 1, "eta": 2}'):
        Played(extra=after + objectives)
