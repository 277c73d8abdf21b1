"""The seam between Ray and the ledger, with a Ray that is only played."""

import io
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher
from rich.console import Console

from sret_search.execution import attempts, run, searcher
from sret_search.execution.attempts import ErrorListener
from sret_search.execution.node_exclusion import NodeExclusion
from sret_search.execution.progress import Progress
from sret_search.execution.resources import Slots
from sret_search.execution.searcher import PREFETCH, LedgerSearcher
from sret_search.execution.shutdown import Stopping
from sret_search.job.contents import Contents, Group
from sret_search.search.samplers import build
from sret_search.study import load_study
from sret_search.trials import failures
from sret_search.trials.database import LedgerLostError
from sret_search.trials.failures import Streak
from sret_search.trials.history import History
from sret_search.trials.ledger import Ledger
from sret_search.trials.retention import Keeper

SPACE = "architecture: sret_digits\naxes: {stages.*.loops: {choices: [1, 2, 4, 8]}}\n"
DEATH = "ray.exceptions.ActorDiedError: The actor died unexpectedly.\n"


class Watermark:
    full = False

    def __str__(self) -> str:
        return "the disk is full"


class Played:
    """A study of four trials, the searcher on it, and a Ray that does as it is told."""

    def __init__(self, search: str = "{sampler: grid}", extra: str = "", slots: int = 2) -> None:
        Path("space.yaml").write_text(SPACE)
        Path("study.yaml").write_text(f"study: s\nspace: space.yaml\nsearch: {search}\n{extra}")
        study = load_study(Path("study.yaml"))
        self.ledger = Ledger.create(study)
        self.ledger.freeze(slots + PREFETCH)
        history = History(study, self.ledger.entries(), self.ledger.window)
        self.stopping = Stopping(self.ledger.folders.ask_to_stop, lambda text: None, None)
        self.watermark = Watermark()
        self.nodes = {"a": "this machine"}
        self.console = Console(record=True, width=200, file=io.StringIO())
        self.searcher = LedgerSearcher(
            study, self.ledger, history, build.build(study),
            lambda: Slots(slots, 1, 0.0), self.stopping, Progress(4, slots, 1.0, self.console),
            Keeper(self.ledger.folders, 10**9), self.watermark, NodeExclusion(lambda: self.nodes),
        )  # fmt: skip
        self.names: Iterator[int] = iter(range(1000))
        self.configs: dict[str, dict[str, Any]] = {}

    def suggest(self, node: str = "a") -> str | None:
        """The Ray trial that was given something to do, on a node."""
        name = str(next(self.names))
        config = self.searcher.suggest(name)
        if not isinstance(config, dict):
            return None
        self.configs[name] = config
        (Path(config["attempt"]) / "worker.json").write_text(json.dumps({"node": node}))
        return name

    def number(self, name: str) -> int:
        return int(Path(self.configs[name]["attempt"]).parent.name)

    def write(self, name: str, file: str, content: dict[str, Any]) -> None:
        entry = self.searcher.history.entries[self.number(name)]
        text = json.dumps(content | {"job": entry.job.identity})
        (Path(self.configs[name]["attempt"]) / file).write_text(text)

    def complete(self, name: str, accuracy: float = 0.5) -> None:
        self.write(name, "result.json", {
            "state": "complete", "val_accuracy": accuracy, "val_loss": 1.0, "test_accuracy": 0.4,
            "epochs": 1, "seconds": 1.0, "reruns": [], "history": [], "environment": {},
        })  # fmt: skip
        self.searcher.on_trial_complete(name)

    def die(self, name: str, text: str = DEATH) -> None:
        self.searcher.on_trial_complete(name, error=True)
        self.searcher.died(name, text)

    def break_down(self, name: str, reason: str = "CUDA error: uncorrectable ECC error") -> None:
        """Fail through what the machine did."""
        error = {"state": "failed", "cause": failures.MACHINE, "reason": reason}
        self.write(name, "error.json", error)
        self.searcher.on_trial_complete(name)

    def states(self) -> list[str]:
        return [entry.state for entry in self.ledger.entries()]


pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes on when it is told to."""
    now = [time.monotonic()]
    monkeypatch.setattr(attempts.time, "monotonic", lambda: now[0])
    return now


def test_as_many_run_as_there_are_slots_and_the_next_is_begun_ahead() -> None:
    played = Played()
    first, second = played.suggest(), played.suggest()
    assert second is not None
    assert played.suggest() is None
    assert len(played.states()) == 2, "what was just handed out is to start first"
    for _ in range(3):
        assert played.suggest() is None
        assert played.states() == ["running"] * 3
    assert not played.ledger.folders.attempts(2)
    played.complete(second)
    third = played.suggest()
    assert third is not None
    assert played.number(third) == 2
    assert played.suggest() is None
    assert first is not None
    played.complete(first)
    fourth = played.suggest()
    for name in (third, fourth):
        assert name is not None
        played.complete(name)
    assert played.searcher.suggest("last") == Searcher.FINISHED
    assert played.searcher.over
    assert played.states() == ["complete"] * 4


def test_a_free_slot_waits_for_no_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played("{sampler: random, trials: 8}", slots=1)
    first = played.suggest()
    assert [played.suggest() for _ in range(2)] == [None, None]
    monkeypatch.setattr(played.searcher.sampler, "ask", lambda history: pytest.fail("asked"))
    assert first is not None
    played.complete(first)
    assert played.suggest() is not None


def test_a_trial_that_is_due_again_comes_before_another_is_begun() -> None:
    played = Played()
    first, second = played.suggest(), played.suggest()
    assert first is not None
    assert second is not None
    played.die(first)
    again = played.suggest()
    assert again is not None
    assert played.number(again) == 0
    played.die(again)  # due in a while
    third = played.suggest()
    assert third is not None
    assert [played.suggest() for _ in range(2)] == [None, None]
    assert len(played.states()) == 4


def test_a_dead_worker_is_replaced_at_once_then_after_a_while_then_never(
    clock: list[float],
) -> None:
    played = Played(slots=1)
    waits = []
    for attempt in range(1, 9):
        begun = clock[0]
        while (name := played.suggest()) is None or played.number(name) != 0:
            if name is not None:
                played.complete(name)
            clock[0] += 0.5
        waits.append(clock[0] - begun)
        assert played.configs[name]["attempt"].endswith(f"attempt-{attempt}")
        assert len(played.configs[name]["earlier"]) == attempt - 1
        played.die(name)
    assert waits[:2] == [0, 0]
    assert all(later >= earlier for earlier, later in itertools.pairwise(waits))
    assert waits[-1] <= 61
    entry = played.searcher.history.entries[0]
    assert (entry.state, entry.failures) == ("failed", {failures.DIED: 8})
    assert entry.result.reason == "its worker died (killed, or out of memory), 8 times"


def test_a_worker_that_leaves_checkpoints_may_die_for_ever(clock: list[float]) -> None:
    played = Played(slots=1)
    for _ in range(20):
        while (name := played.suggest()) is None or played.number(name) != 0:
            if name is not None:
                played.complete(name)
            clock[0] += 61
        (Path(played.configs[name]["attempt"]) / "checkpoint-00000001.pt").touch()
        played.die(name)
    entry = played.ledger.entries()[0]
    assert (entry.state, entry.failures) == ("running", {failures.DIED: 20})


def test_what_a_worker_said_before_it_failed_is_told() -> None:
    played = Played(slots=1)
    name = played.suggest()
    assert name is not None
    played.die(name, "Traceback\n  File x\nModuleNotFoundError: No module named 'torch'\n")
    assert "No module named 'torch'" in played.console.export_text()


def test_a_notice_of_a_training_is_written_with_its_trial() -> None:
    played = Played(slots=1)
    name = played.suggest()
    assert name is not None
    played.searcher.on_trial_result(name, {"notice": "the blocks are not compiled: no reason"})
    assert "trial 0: the blocks are not compiled: no reason" in played.console.export_text()


NOT_STARTED = """Failure # 1 (occurred at 2026-11-30_09-30-00)
The actor died because of an error raised in its creation task, ray::ImplicitFunc.__init__()
  File "python/ray/_raylet.pyx", line 955, in ray._raylet.store_task_errors
RuntimeError: The actor with name ImplicitFunc failed to import on the worker:

Traceback (most recent call last):
  File "/venv/site-packages/ray/tune/__init__.py", line 5, in <module>
    import pandas
    ^^^^^^^^^^^^^
  File "/home/me/pandas.py", line 1, in <module>
    import numpi
ModuleNotFoundError: No module named 'numpi'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/venv/site-packages/ray/tune/__init__.py", line 9, in <module>
    raise ImportError(
ImportError: Can't import ray.tune as some dependencies are missing.
An unexpected internal error occurred while the worker was executing a task.
"""


def test_the_error_that_kept_a_worker_from_starting_is_told() -> None:
    cause, reason = failures.cause_and_reason(NOT_STARTED)
    assert cause == failures.DIED
    assert reason == (
        "its worker could not start (ModuleNotFoundError: No module named 'numpi'"
        " (/home/me/pandas.py:1))"
    )


def test_a_worker_that_was_killed_died() -> None:
    text = (
        "Failure # 1 (occurred at 2026-11-30_10-00-00)\n"
        "The actor died unexpectedly before finishing this task.\n\tclass_name: ImplicitFunc\n"
        "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR\n"
    )
    assert failures.cause_and_reason(text) == (
        failures.DIED,
        "its worker died (killed, or out of memory)",
    )


def test_tunes_file_of_an_error_is_read_before_it_is_copied(tmp_path: Path) -> None:
    played = Played(slots=1)
    name = played.suggest()
    assert name is not None
    played.searcher.on_trial_complete(name, error=True)
    file = tmp_path / "error.txt"
    file.write_text(NOT_STARTED)
    trial = SimpleNamespace(trial_id=name, error_file=str(file))
    ErrorListener(played.searcher.died).on_trial_error(1, [], trial)
    assert "No module named 'numpi'" in played.console.export_text()


def test_out_of_memory_is_tried_once_more() -> None:
    played = Played(slots=1)
    for state in ("running", "failed"):
        name = played.suggest()
        assert name is not None
        assert played.number(name) == 0
        reason = {"failed": "out of memory", "reason": "out of memory; a step needs 3 GB"}
        played.searcher.on_trial_result(name, reason)
        played.die(name, "Recycled")
        assert played.states()[0] == state
    assert "a step needs 3 GB" in played.ledger.entries()[0].result.reason


def test_a_machine_that_runs_low_is_out_of_memory() -> None:
    text = "Task was killed due to the node running low on memory.\nActorDiedError"
    assert failures.cause_and_reason(text)[0] == failures.MEMORY


def test_an_error_in_code_is_never_repeated() -> None:
    played = Played(slots=1)
    name = played.suggest()
    assert name is not None
    played.write(name, "error.json", {"state": "failed", "cause": "error", "reason": "KeyError: 3"})
    played.searcher.on_trial_complete(name)
    assert played.states()[0] == "failed"
    assert played.ledger.entries()[0].result.reason == "KeyError: 3"


def test_a_machine_that_fails_all_its_trials_ends_the_run_and_costs_none() -> None:
    played = Played()
    for _ in range(3):
        assert played.searcher.trouble is None
        name = played.suggest()
        assert name is not None
        played.break_down(name)
    assert played.searcher.trouble == (
        "this machine cannot train: CUDA error: uncorrectable ECC error; repair it, and run again"
    )
    assert played.searcher.suggest("x") == Searcher.FINISHED
    assert set(played.states()) == {"running"}
    # The same command again tries them again, with nothing held against them.
    again = Played()
    numbers = set()
    while (name := again.suggest()) is not None:
        numbers.add(again.number(name))
        again.complete(name)
    assert numbers == {0, 1, 2, 3}
    assert again.states() == ["complete"] * 4


def test_failures_of_a_machine_that_trains_others_end_the_trial_alone(clock: list[float]) -> None:
    played = Played(slots=1)
    ends = []
    while len(ends) < 4:
        clock[0] += 61
        while (name := played.suggest()) is None:
            clock[0] += 1
        if played.number(name) == 0:
            played.break_down(name)
            ends += [0] * (played.states()[0] == "failed")
        else:
            played.complete(name)
            ends.append(1)
        played.searcher.left_out.trains("a")  # between two of its attempts others are trained
    entry = played.ledger.entries()[0]
    assert (entry.state, entry.failures) == ("failed", {failures.MACHINE: 4})
    assert played.searcher.trouble is None


def test_a_node_that_fails_several_in_a_row_is_left_out_and_named(clock: list[float]) -> None:
    played = Played("{sampler: random, trials: 40}", slots=4)
    played.nodes = {"a": "node-a (10.0.0.1)", "b": "node-b (10.0.0.2)"}
    first = [played.suggest("b"), *(played.suggest("a") for _ in range(3))]
    assert all(played.configs[name]["avoided"] == [] for name in first if name is not None)
    for name in first[1:3]:
        assert name is not None
        played.break_down(name)
    assert played.searcher.left_out.ids == set()
    # A trial is not tried again where it failed last.
    retried = played.suggest("b")
    assert retried is not None
    assert played.configs[retried]["avoided"] == ["a"]
    assert first[3] is not None
    played.die(first[3])
    said = " ".join(played.console.export_text().split())
    assert "the node node-a (10.0.0.1) gets no more trials, since several in a row" in said
    clock[0] += 61
    new = played.suggest("b")
    assert new is not None
    assert played.configs[new]["avoided"] == ["a"]
    assert "failed" not in played.states()
    assert played.searcher.trouble is None


def test_a_node_that_trains_between_its_failures_stays() -> None:
    left_out = NodeExclusion(lambda: {"a": "node-a", "b": "node-b"})
    for number in range(9):
        assert left_out.fails("a", number) is None
        if number % 2:
            left_out.trains("a")
    assert left_out.fails("a", 9) is None
    assert left_out.fails("a", 10) == "node-a"
    assert left_out.avoided(11) == ["a"]
    # The last one is never left out, nor avoided.
    assert [left_out.fails("b", number) for number in range(3)] == [None] * 3
    assert left_out.is_last("b")
    assert left_out.avoided(2) == ["a"]


def test_a_node_is_not_avoided_where_there_is_no_other() -> None:
    left_out = NodeExclusion(lambda: {"a": "node-a"})
    left_out.fails("a", 0)
    assert left_out.avoided(0) == []
    assert not left_out.is_last("a")
    # What failed before it could say where was here.
    for _ in range(3):
        left_out.fails("", 0)
    assert left_out.is_last("")


def test_unreadable_data_stops_the_study_and_costs_no_trial() -> None:
    played = Played()
    first, second = played.suggest(), played.suggest()
    assert first is not None
    assert second is not None
    error = {"state": "failed", "cause": "data", "reason": "cannot read a.jpg"}
    played.write(first, "error.json", error)
    played.searcher.on_trial_complete(first)
    assert played.suggest() is None
    played.complete(second)
    assert played.searcher.suggest("x") == Searcher.FINISHED
    assert played.searcher.trouble == "study.yaml:1:1: cannot read a.jpg"
    assert sorted(played.states()[:2]) == ["complete", "running"]


def test_a_stop_lets_workers_end_and_leaves_their_trials_open() -> None:
    played = Played()
    first, second = played.suggest(), played.suggest()
    assert first is not None
    assert second is not None
    played.stopping.requested = True
    assert played.suggest() is None
    assert played.ledger.folders.stop_asked()
    played.searcher.on_trial_complete(first)
    played.complete(second)
    assert played.searcher.suggest("x") == Searcher.FINISHED
    entries = played.ledger.entries()
    assert [entry.state for entry in entries[:2]] == ["running", "complete"]
    assert entries[0].failures == {}


def test_nothing_begins_while_the_disk_is_full() -> None:
    played = Played()
    played.watermark.full = True
    assert played.suggest() is None
    assert played.suggest() is None
    assert played.console.export_text().count("paused: the disk is full") == 1
    played.watermark.full = False
    assert played.suggest() is not None


def test_a_lost_ledger_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played()
    first = played.suggest()
    assert first is not None

    def lose(*arguments: Any) -> None:
        raise LedgerLostError("the server went away")

    monkeypatch.setattr(played.ledger, "tell", lose)
    played.complete(first)
    assert played.searcher.suggest("x") in (None, Searcher.FINISHED)
    assert str(played.searcher.lost) == "the server went away"
    with pytest.raises(KeyboardInterrupt):
        played.stopping.on_step_begin(0, [])


def test_a_trial_that_an_orphan_has_ended_is_not_begun_again() -> None:
    first = Played(slots=1).suggest()
    assert first is not None
    again = Played(slots=1)
    entry = again.ledger.entries()[0]
    attempt = Path(again.ledger.folders.attempts(0)[0])
    result = {"state": "diverged", "reason": "nan", "job": entry.job.identity}
    (attempt / "result.json").write_text(json.dumps(result))
    name = again.suggest()
    assert name is not None
    assert again.number(name) == 1
    assert again.states() == ["diverged", "running"]


def test_a_signal_after_the_last_trial_leaves_a_complete_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = Played(slots=4)
    names = [played.suggest() for _ in range(4)]

    def train(*arguments: Any) -> None:
        for name in names:
            assert name is not None
            played.complete(name)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_train", train)
    outcome = run.search(played.searcher.study, played.ledger)
    assert (outcome.complete, outcome.trained) == (True, 4)


def test_a_pause_is_said_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(run.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(run.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + 1))
    played = Played()
    wait = run._waiting(played.searcher.progress, played.stopping, "there is room")
    for _ in range(100):
        wait("the disk is full")
    assert played.console.export_text(clear=True).count("paused: the disk is full") == 2
    now[0] += 5
    wait("the disk is full")
    assert "paused: the disk is full" in played.console.export_text()
    played.stopping.requested = True
    with pytest.raises(LedgerLostError):
        wait("the disk is full")


def test_a_machine_that_does_not_see_the_folder_is_named() -> None:
    played = Played()
    first = played.suggest()
    assert first is not None
    played.searcher.on_trial_result(first, {"unseen": "node-2 does not see /data"})
    played.searcher.on_trial_complete(first)
    assert "node-2 does not see /data; `storage.trials` must be" in str(played.searcher.trouble)
    assert played.states() == ["running"]


def test_a_fresh_tuner_is_asked_for_after_many_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searcher, "_A_TUNER", 2)
    played = Played()
    first, second = played.suggest(), played.suggest()
    assert first is not None
    assert second is not None
    played.complete(first)
    assert played.searcher.suggest("x") is None
    played.complete(second)
    assert played.searcher.suggest("x") == Searcher.FINISHED
    assert not played.searcher.over
    played.searcher.renew()
    assert played.suggest() is not None


def test_strict_order_waits_for_the_trial_that_is_due() -> None:
    played = Played("{sampler: random, trials: 5, order: strict}")
    assert played.ledger.window == 3
    first, second = played.suggest(), played.suggest()
    assert first is not None
    assert second is not None
    assert [played.suggest() for _ in range(2)] == [None, None]
    played.complete(second)
    third = played.suggest()
    assert third is not None
    assert [played.suggest() for _ in range(2)] == [None, None]
    assert len(played.states()) == 3, "the fourth is asked for with the result of the first"
    played.complete(third)
    assert played.suggest() is None
    played.complete(first)
    fourth = played.suggest()
    assert fourth is not None
    assert played.number(fourth) == 3


BRANCH = "branches: [{trial: 1, recipe: {epochs: 2, lr: 1e-4}}]\n"


def test_a_branch_begins_when_its_parent_has_ended() -> None:
    played = Played(extra=BRANCH, slots=8)
    names = [played.suggest() for _ in range(4)]
    assert played.suggest() is None
    for name in names:
        assert name is not None
        (Path(played.configs[name]["attempt"]) / "checkpoint-00000005.pt").touch()
        played.complete(name)
    branch = played.suggest()
    assert branch is not None
    parent = names[1]
    assert parent is not None
    assert played.configs[branch]["earlier"] == [played.configs[parent]["attempt"]]
    entry, origin = (played.searcher.history.entries[n] for n in (4, 1))
    assert entry.job.parent is not None
    assert (entry.job.parent.trial, entry.job.parent.job) == (1, origin.job.identity)
    assert (entry.job.recipe.epochs, entry.job.recipe.lr) == (2, 1e-4)
    assert (entry.values, entry.seed) == (origin.values, origin.seed)
    assert entry.candidate != origin.candidate
    played.complete(branch)
    assert played.searcher.suggest("x") == Searcher.FINISHED
    # The same file again: there is nothing left to begin.
    again = Played(extra=BRANCH)
    assert again.searcher.suggest("x") == Searcher.FINISHED


@pytest.mark.parametrize(
    ("branches", "message"),
    [
        ("[{trial: 9, recipe: {}}]", "branches.0: no trial 9; the last is 3"),
        ("[{trial: 1, recipe: {}}]", "trial 1 has no full checkpoint any more"),
    ],
)
def test_a_branch_from_nothing_is_refused(branches: str, message: str) -> None:
    played = Played(extra=f"branches: {branches}\n", slots=8)
    for name in [played.suggest() for _ in range(4)]:
        assert name is not None
        played.complete(name)
    assert played.suggest() is None
    assert message in str(played.searcher.trouble)


def test_a_full_disk_never_fails_a_trial() -> None:
    streak = Streak()
    assert [streak.wait(failures.DISK, False) for _ in range(100)] == [0.0] * 100


def test_workers_are_told_what_the_data_held() -> None:
    played = Played()
    first = played.suggest()
    assert first is not None
    assert played.configs[first]["contents"] is None  # of the digits, which nobody can change
    contents = Contents((Group("train", "ant/", 3, "0" * 16),))
    played.searcher.study = replace(played.searcher.study, contents=contents)
    second = played.suggest()
    assert second is not None
    assert Contents.from_dict(played.configs[second]["contents"]) == contents
