"""Rungs and who is promoted at them, without a ledger, without Ray and without training."""

import dataclasses
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sret_search.pareto import contributions
from sret_search.search import confirmation, phases
from sret_search.search.phases import next_step
from sret_search.search.samplers.base import Ask
from sret_search.search.scheduler import Decision, Scheduler, ranking
from sret_search.study import Study, load_study
from sret_search.trials.history import History
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import RungResult, TrialResult

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4, 8, 16, 32]}
  stages.*.mlp_ratio: {low: 1.0, high: 4.0}
"""
TRIALS = 30
ASHA = "scheduler: {name: asha}\nobjectives: {loss: min}\n"
MO_ASHA = "scheduler: {name: mo_asha}\n"


def study(folder: Path, extra: str, order: str = "eager", sampler: str = "random") -> Study:
    (folder / "space.yaml").write_text(SPACE)
    (folder / "study.yaml").write_text(
        "study: s\nspace: space.yaml\nrecipe: {epochs: 9}\n"
        f"search: {{sampler: {sampler}, trials: {TRIALS}, order: {order}}}\n{extra}"
    )
    return load_study(folder / "study.yaml")


# Ranks.

POINTS = st.integers(1, 4).flatmap(
    lambda m: st.lists(st.tuples(*[st.integers(0, 6)] * m), min_size=1, max_size=14)
)


def beats(one: Any, other: Any) -> bool:
    return bool(np.all(one >= other) and np.any(one > other))


@given(POINTS)
def test_a_dominated_trial_never_outranks_what_dominates_it(rows: list[tuple[int, ...]]) -> None:
    points = np.array(rows, float)
    order = ranking(points, range(len(points)))
    assert sorted(order) == list(range(len(points)))
    for before, after in itertools.combinations(order, 2):
        assert not beats(points[after], points[before])


@given(POINTS, st.data())
def test_ranks_change_with_no_order_and_with_no_scale(
    rows: list[tuple[int, ...]], data: st.DataObject
) -> None:
    points = np.array(rows, float)
    numbers = data.draw(st.permutations(range(len(points))))
    order = ranking(points, numbers)
    shuffled = data.draw(st.permutations(range(len(points))))
    assert ranking(points[shuffled], [numbers[i] for i in shuffled]) == order
    columns = data.draw(st.permutations(range(points.shape[1])))
    assert ranking(points[:, columns], numbers) == order
    scales: list[Callable[[Any], Any]] = [np.exp, lambda x: 1e-3 * x - 7, lambda x: -1 / (x + 1)]
    scaled = [data.draw(st.sampled_from(scales))(column) for column in points.T]
    assert ranking(np.stack(scaled, axis=1), numbers) == order


@given(POINTS)
def test_equal_trials_are_ranked_by_number(rows: list[tuple[int, ...]]) -> None:
    points = np.array([*rows, *rows], float)
    order = ranking(points, range(len(points)))
    for number in range(len(rows)):
        assert order.index(number) < order.index(number + len(rows))


@given(POINTS.map(lambda rows: [tuple(value + 1 for value in row) for row in rows]))
@settings(max_examples=50)
def test_a_contribution_is_the_volume_that_no_other_point_covers(
    rows: list[tuple[int, ...]],
) -> None:
    rows = [tuple(min(value, 4) for value in row) for row in dict.fromkeys(rows)]
    points = list(dict.fromkeys(rows))
    cells = list(itertools.product(range(1, 5), repeat=len(points[0])))
    covered = [{cell for cell in cells if all(map(int.__le__, cell, p))} for p in points]
    for i, own in enumerate(covered):
        others = set().union(*(cover for j, cover in enumerate(covered) if j != i))
        assert contributions(points)[i] == len(own - others)


def test_of_a_front_the_ends_and_the_lonely_come_first() -> None:
    crowded = np.array([[9, 1], [1, 9], [5, 5], [5.1, 4.9], [4.9, 5.1]])
    assert set(ranking(crowded, range(5))[:2]) == {0, 1}


# Studies.


def curve(entry: TrialRecord, epoch: int) -> RungResult:
    """Deeper ones learn more slowly and reach more."""
    depth = math.log2(entry.job.architecture.executions)
    accuracy = 0.5 + 0.06 * depth * (1 - math.exp(-epoch / (1 + depth)))
    accuracy -= 1e-3 * (entry.cost["params"] % 97)
    return RungResult(accuracy, 1 - accuracy, float(epoch))


class Driver:
    """Asks, trains in parts, promotes and stops, and keeps what a ledger keeps."""

    def __init__(self, made: Study, window: int = 4, lost: Callable[[int], bool] = lambda n: False):
        self.made, self.lost = made, lost
        self.window = window if made.file.search.order == "strict" else None
        self.entries: list[TrialRecord] = []
        self.active: set[int] = set()
        self.promotions: list[tuple[int, int]] = []
        self.start()

    def start(self) -> None:
        """Build everything anew, as after a crash; what was in training begins again."""
        self.entries = [
            TrialRecord.from_dict(json.loads(json.dumps(e.to_dict()))) for e in self.entries
        ]
        self.history = History(self.made, self.entries, self.window)
        self.sampler = phases.build(self.made)
        self.rungs = Scheduler(self.made, self.sampler)
        self.active = {e.number for e in self.entries if e.open and not self.rungs.waits(e)}

    def carry_out(self, decision: Decision) -> None:
        for number, until in decision.promoted.items():
            self.promotions.append((number, until))
            self.put(dataclasses.replace(self.entries[number], until=until))
            self.active.add(number)
        for number in decision.stopped:
            entry = self.entries[number]
            self.put(dataclasses.replace(entry, result=entry.stopped))

    def put(self, entry: TrialRecord) -> None:
        self.entries[entry.number] = entry
        (self.history.replace if entry.open else self.history.end)(entry)

    def fill(self, slots: int) -> bool:
        """Begin what can be begun; whether the study is over."""
        while len(self.active) < slots:
            step = next_step(self.history, self.sampler, self.rungs, not self.active)
            if isinstance(step, Decision):
                self.carry_out(step)
            elif isinstance(step, Ask):
                self.begin(step)
            else:
                return step is None and not self.active
        return False

    def begin(self, ask: Ask) -> None:
        job = self.made.job(ask.candidate, ask.seed, "cpu")
        number, values, origin = len(self.entries), ask.candidate.values, self.made.origin
        entry = TrialRecord.begun(number, job, values, 1258, origin, ask.role, ask.about)
        self.entries.append(entry)
        self.history.begin(entry)
        self.active.add(number)

    def end(self, number: int) -> None:
        """An attempt comes to its rung, or to its end."""
        self.active.remove(number)
        entry = self.entries[number]
        epoch = self.rungs.until(entry)
        if self.lost(number):
            self.put(dataclasses.replace(entry, result=TrialResult("diverged")))
        elif epoch is not None:
            self.put(entry.at_rung(epoch, curve(entry, epoch)))
        else:
            reached = curve(entry, 9)
            result = TrialResult(
                "complete",
                val_accuracy=reached.val_accuracy,
                val_loss=reached.val_loss,
                seconds=reached.seconds,
            )
            self.put(dataclasses.replace(entry, result=result))

    def run(self, seed: int = 0, slots: int = 3, crash: bool = False) -> "Driver":
        """Attempts end in a random order; with crashes, everything is often built anew."""
        rng = random.Random(seed)
        while not self.fill(slots):
            assert self.active, "it waits for nothing"
            self.end(rng.choice(sorted(self.active)))
            if crash and rng.random() < 0.3:
                self.start()
        return self

    @property
    def table(self) -> list[tuple[Any, ...]]:
        return [
            (e.candidate, e.state, sorted(e.rungs), json.dumps(e.plain_rungs), e.until)
            for e in self.entries
        ]

    def reached(self, epoch: int) -> list[TrialRecord]:
        return [entry for entry in self.entries if epoch in entry.rungs]


@pytest.mark.parametrize("extra", [ASHA, MO_ASHA])
@pytest.mark.parametrize("order", ["eager", "strict"])
def test_few_are_trained_to_the_end_and_nobody_is_left_waiting(
    extra: str, order: str, tmp_path: Path
) -> None:
    driver = Driver(study(tmp_path, extra, order)).run()
    states = Counter(entry.state for entry in driver.entries)
    assert len(driver.reached(1)) == TRIALS == states["complete"] + states["stopped"]
    assert 1 <= states["complete"] < len(driver.reached(3)) <= TRIALS // 2
    for entry in driver.entries:
        reached = entry.result.epochs if entry.state == "stopped" else entry.result.seconds
        assert reached in (1, 3, 9)
        if entry.state == "stopped":
            assert entry.result.epochs == max(entry.rungs)
            assert entry.result.measured == entry.rungs[max(entry.rungs)].measured


@pytest.mark.parametrize("extra", [ASHA, MO_ASHA])
def test_the_best_of_each_stratum_at_the_last_rung_is_trained_to_the_end(
    extra: str, tmp_path: Path
) -> None:
    made = study(tmp_path, extra)
    for seed in range(5):
        driver = Driver(made).run(seed)
        strata: dict[int, list[TrialRecord]] = {}
        for entry in driver.reached(3):
            place = sum(entry.cost["macs"] >= least for least in made.strata)
            strata.setdefault(place, []).append(entry)
        assert len(strata) == (1 if extra == ASHA else 3)
        for members in strata.values():
            if extra == ASHA:
                best = min(members, key=lambda entry: entry.rungs[3].val_loss)
                assert best.state == "complete"
            assert any(entry.state == "complete" for entry in members)


def test_asha_promotes_as_soon_as_a_trial_is_among_the_best_third(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, ASHA))
    assert not driver.fill(3)
    for number in (0, 1):
        driver.end(number)
        assert not driver.rungs.decide(driver.history)
    driver.end(2)
    best = min(driver.entries, key=lambda entry: entry.rungs[1].val_loss)
    decision = driver.rungs.decide(driver.history)
    assert decision == Decision({best.number: 3})
    driver.carry_out(decision)
    assert not driver.rungs.decide(driver.history)


def test_the_highest_rung_comes_first(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, ASHA)).run(slots=1)
    first = next(i for i, (_, until) in enumerate(driver.promotions) if until == 9)
    assert [until for _, until in driver.promotions[:first]] == [3] * 3


@pytest.mark.parametrize("extra", [ASHA, MO_ASHA])
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_in_strict_order_the_table_does_not_depend_on_what_ends_first(
    extra: str, sampler: str, tmp_path: Path
) -> None:
    made = study(tmp_path, extra, "strict", sampler)
    golden = Driver(made, lost=lambda number: number % 7 == 6).run()
    for seed, slots in ((1, 1), (2, 3), (3, 4)):
        again = Driver(made, lost=lambda number: number % 7 == 6).run(seed, slots, crash=True)
        assert again.table == golden.table


def test_a_strict_study_begins_a_cohort_with_all_that_came_before(tmp_path: Path) -> None:
    made = study(tmp_path, ASHA, "strict")
    assert made.cohort == 9
    driver = Driver(made)
    seen: dict[int, list[tuple[int, list[str]]]] = {}
    begin = driver.history.begin

    def noted(entry: TrialRecord) -> None:
        known = [(e.number, sorted(driver.history.reached(e))) for e in driver.history.entries]
        seen[entry.number] = [one for one in known if one[1]]
        begin(entry)

    driver.history.begin = noted  # type: ignore[method-assign]
    driver.run()
    # Trials of its own cohort that were begun before the window, and all of the earlier ones.
    assert seen[8] == [(number, [1]) for number in range(5)]
    assert [number for number, _ in seen[9]] == list(range(9))
    assert {3, 1} in [set(rungs) for _, rungs in seen[9]]
    assert [number for number, _ in seen[14]] == list(range(11))


def test_an_eager_study_that_crashes_often_ends_like_one_that_does_not(tmp_path: Path) -> None:
    made = study(tmp_path, MO_ASHA)
    # One at a time: nothing is in training when it crashes.
    assert Driver(made).run(0, 1, crash=True).table == Driver(made).run(1, 1).table


def test_what_diverges_counts_as_the_last_of_its_rung(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, ASHA), lost=lambda number: number < 2)
    assert not driver.fill(3)
    for number in range(3):
        driver.end(number)
    assert driver.rungs.decide(driver.history) == Decision({2: 3})


class Believing:
    """Believes in some trials, whatever they reach."""

    def __init__(self, driver: Driver, *numbers: int) -> None:
        self.names = [driver.entries[number].candidate for number in numbers]

    def ask(self, history: History) -> None:
        return None

    def promising(self, history: History) -> list[str]:
        return self.names


def test_what_a_sampler_believes_in_is_promoted_as_far_as_there_is_room(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, ASHA))
    assert not driver.fill(6)
    by_loss = sorted(range(6), key=lambda n: curve(driver.entries[n], 1).val_loss)
    best, *_, second, worst = by_loss
    for number in range(6):
        driver.end(number)
    driver.rungs = Scheduler(driver.made, Believing(driver, worst))
    decision = driver.rungs.decide(driver.history)
    assert decision == Decision({worst: 3})
    driver.carry_out(decision)
    # Of six trials two may go on, but the other believed ones have to wait for the end.
    driver.rungs = Scheduler(driver.made, Believing(driver, worst, second, best))
    decision = driver.rungs.decide(driver.history)
    assert decision == Decision({best: 3})
    driver.carry_out(decision)
    assert not driver.rungs.decide(driver.history)
    assert driver.rungs.decide(driver.history, is_over=True) == Decision({second: 3})


def test_without_hope_all_that_wait_are_stopped_once_none_is_in_training(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, ASHA))
    assert not driver.fill(4)
    for number in range(3):
        driver.end(number)
    driver.rungs = Scheduler(driver.made, Believing(driver, 3))
    assert not driver.rungs.decide(driver.history, is_over=True)
    driver.end(3)
    driver.carry_out(driver.rungs.decide(driver.history))
    driver.end(3)
    driver.carry_out(driver.rungs.decide(driver.history, is_over=True))
    driver.end(3)
    assert driver.rungs.decide(driver.history, is_over=True) == Decision(stopped=[0, 1, 2])


def test_the_front_that_frontier_believes_in_is_trained_to_its_end(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, MO_ASHA, sampler="frontier")).run()
    complete = {entry.candidate for entry in driver.entries if entry.state == "complete"}
    assert len(complete) < TRIALS * 2 / 3
    assert set(driver.sampler.promising(driver.history)) <= complete
    assert not any(entry.open for entry in driver.entries)


def test_in_strict_order_beliefs_decide_nothing(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, ASHA, "strict"), window=9)
    assert not driver.fill(9)
    for number in range(9):
        driver.end(number)
    decision = Scheduler(driver.made).decide(driver.history)
    worst = max(driver.entries, key=lambda entry: entry.rungs[1].val_loss).number
    assert len(decision.promoted) == 3 and worst not in decision.promoted
    believing = Scheduler(driver.made, Believing(driver, worst))
    assert believing.decide(driver.history) == decision


def test_without_a_scheduler_every_trial_is_trained_to_its_end(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, "")).run()
    assert {entry.state for entry in driver.entries} == {"complete"}
    assert not any(entry.rungs for entry in driver.entries)


def test_a_longer_study_promotes_new_trials_and_revives_none(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, MO_ASHA)).run()
    before = driver.table
    text = (tmp_path / "study.yaml").read_text()
    (tmp_path / "study.yaml").write_text(text.replace(f"trials: {TRIALS}", "trials: 45"))
    driver.made = load_study(tmp_path / "study.yaml")
    driver.start()
    driver.run()
    assert driver.table[:TRIALS] == before
    assert len(driver.entries) == 45
    assert any(entry.state == "complete" for entry in driver.entries[TRIALS:])


def test_trials_of_another_recipe_are_stopped_where_they_wait(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, MO_ASHA))
    driver.fill(3)
    driver.end(0)
    text = (tmp_path / "study.yaml").read_text()
    (tmp_path / "study.yaml").write_text(text.replace("epochs: 9", "epochs: 9, lr: 1e-4"))
    driver.made = load_study(tmp_path / "study.yaml")
    driver.start()
    driver.run()
    assert [entry.state for entry in driver.entries[:3]] == ["stopped"] * 3
    assert len(driver.entries) == 3 + TRIALS


@pytest.mark.parametrize("order", ["eager", "strict"])
def test_what_confirms_the_front_is_trained_to_its_end(order: str, tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, f"{MO_ASHA}confirm: {{seeds: 2}}\n", order)).run()
    searched = driver.entries[:TRIALS]
    again = driver.entries[TRIALS:]
    assert {entry.role for entry in searched} == {"search"}
    assert {entry.state for entry in again} == {"complete"}
    members = confirmation.members(driver.made, driver.history)
    assert {entry.candidate for entry in again} == set(members)
    whole = {entry.candidate for entry in searched if entry.state == "complete"}
    assert set(members) <= whole
