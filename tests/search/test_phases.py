"""Learning rates, twins and confirmation, without a ledger, without Ray and without training."""

import dataclasses
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from sret_search.job.seeds import CONFIRMATION, RATES
from sret_search.pareto import nondominated, pareto
from sret_search.planning.plan import competitors, least_trials, training_plan
from sret_search.search import phases
from sret_search.search.controls import beside
from sret_search.search.learning_rates import Tried
from sret_search.search.samplers import build
from sret_search.search.samplers.base import WAIT
from sret_search.search.samplers.frontier.sampler import Frontier
from sret_search.study import Study, load_study
from sret_search.trials.history import History
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

ARMS = "architecture: sret_digits\naxes: {stages.*.loops: {choices: [1, 4, 16]}}\n"
GRID = "{grid: [1e-3, 2e-3, 4e-3, 8e-3], seeds: SEEDS}"
CONTROLS = ["unshared", "shallow", "iso_params", "iso_macs", "iso_train_macs"]
TWINS = f"[{', '.join(CONTROLS)}]"
SEARCHED = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4, 8, 16, 32]}
  stages.*.mlp_ratio: {low: 1.0, high: 4.0}
"""


def arms(folder: Path, seeds: int = 1, search: str = "{seeds: 2}", extra: str = "") -> Study:
    grid = GRID.replace("SEEDS", str(seeds))
    text = f"arms: {{axis: stages.*.loops, reference: 4, lr: {grid}}}\n{extra}"
    return study(folder, ARMS, search, text)


def study(folder: Path, space: str, search: str, extra: str) -> Study:
    (folder / "space.yaml").write_text(space)
    (folder / "study.yaml").write_text(f"study: s\nspace: space.yaml\nsearch: {search}\n{extra}")
    return load_study(folder / "study.yaml")


def best_rate(entry: TrialRecord) -> float:
    """The deeper, the lower: beyond the grid for 1 execution, below it for many."""
    return 0.04 / entry.job.architecture.executions


def accuracy_of(entry: TrialRecord) -> float:
    off = abs(math.log2(entry.job.recipe.lr / best_rate(entry)))
    return 0.9 - 0.03 * off - 1e-3 * (entry.seed % 7) - 1e-8 * entry.cost["macs"]


class Driver:
    """Asks all phases and tells, and builds them anew for each ask, as after a crash."""

    def __init__(self, made: Study, accuracy: Callable[[TrialRecord], float | None] = accuracy_of):
        self.made, self.accuracy = made, accuracy
        self.entries: list[TrialRecord] = []

    def step(self) -> str:
        """Begin a trial, if there is one: "begun", "wait" or "over"."""
        ask = phases.build(self.made).ask(History(self.made, self.entries))
        if ask is None or ask == WAIT:
            return ask or "over"
        job = self.made.job(ask.candidate, self.made.file.search.seed + ask.seed, "cpu")
        job = dataclasses.replace(job, whole=ask.whole)
        values, origin = ask.candidate.values, self.made.origin
        number = len(self.entries)
        entry = TrialRecord.begun(number, job, values, 1258, origin, ask.role, ask.about)
        self.entries.append(TrialRecord.from_dict(json.loads(json.dumps(entry.to_dict()))))
        return "begun"

    def end(self, number: int) -> None:
        entry = self.entries[number]
        accuracy = self.accuracy(entry)
        ended = dataclasses.replace(entry, result=TrialResult("diverged"))
        if accuracy is not None:
            result = TrialResult("complete", val_accuracy=accuracy, val_loss=1 - accuracy)
            ended = dataclasses.replace(entry, result=result)
        self.entries[number] = ended

    def run(self, seed: int = 0, slots: int = 3) -> "Driver":
        """So many trials at a time, which end in a random order."""
        rng, state = random.Random(seed), ""
        while True:
            open_ones = [entry.number for entry in self.entries if entry.open]
            if state in ("wait", "over") or len(open_ones) >= slots:
                if not open_ones:
                    assert state == "over", "it waits for nothing"
                    return self
                self.end(rng.choice(open_ones))
                state = ""
            else:
                state = self.step()

    def of(self, role: str) -> list[TrialRecord]:
        return [entry for entry in self.entries if entry.role == role]

    @property
    def table(self) -> list[tuple[str, int, str]]:
        return [(e.candidate, e.seed, e.role) for e in self.entries]


@pytest.mark.parametrize("seeds", [1, 2])
def test_each_arm_is_compared_at_its_own_rate_inside_of_the_rates_it_tried(
    seeds: int, tmp_path: Path
) -> None:
    made = arms(tmp_path, seeds)
    driver = Driver(made).run()
    choices = Tried(made, driver.entries).choices
    assert len(choices) == 3
    tried = defaultdict(set)
    for entry in driver.of("rate"):
        tried[entry.of].add((entry.about.lr, entry.seed))
    for arm in made.grid:
        choice = choices[arm.name]
        assert choice.is_interior
        # The rate that is nearest to the best one of all, by factors of two from the grid's.
        wanted = 0.04 / arm.architecture.executions
        assert abs(math.log2(choice.best / wanted)) <= 0.5
        assert set(choice.rates) >= {1e-3, 2e-3, 4e-3, 8e-3}
        grid = {(lr, RATES + seed) for lr in choice.rates for seed in range(seeds)}
        assert tried[arm.name] == grid
    main = driver.of("search")
    assert Counter(entry.seed for entry in main) == {0: 3, 1: 3}
    found = {(e.job.architecture.executions, e.job.recipe.lr) for e in main}
    assert found == {(a.architecture.executions, choices[a.name].best) for a in made.grid}
    assert least_trials(made) == 3 * 4 * seeds + 6 < len(driver.entries)


def test_the_trials_do_not_depend_on_what_ends_first_nor_on_how_many_run_at_once(
    tmp_path: Path,
) -> None:
    made = arms(tmp_path, extra="controls: [unshared, iso_macs]\n")
    driver = Driver(made).run()
    first = driver.table
    assert {role for _, _, role in first} == {"rate", "search", "twin"}
    assert len(first) == len({(name, seed) for name, seed, _ in first})
    for seed, slots in ((1, 8),):
        assert Driver(made).run(seed, slots).table == first


def test_a_rate_that_is_best_at_an_end_for_ever_is_said_to_be_so(tmp_path: Path) -> None:
    made = arms(tmp_path)
    driver = Driver(made, lambda entry: entry.job.recipe.lr).run()
    for choice in Tried(made, driver.entries).choices.values():
        assert not choice.is_interior
        assert choice.best == choice.rates[-1] == 8e-3 * 2**8
    lost = Driver(made, lambda entry: None).run()
    for choice in Tried(made, lost.entries).choices.values():
        # Where all diverge the lowest is tried, down to a factor of 256.
        assert choice.rates[0] == 1e-3 / 2**8
    assert [e.state for e in lost.of("search")] == ["diverged"] * 6


def test_no_rate_is_tried_below_the_one_that_the_recipe_ends_with(tmp_path: Path) -> None:
    made = arms(tmp_path, extra="recipe: {lr_end: 4e-4}\n")
    driver = Driver(made, lambda entry: -entry.job.recipe.lr).run()
    for choice in Tried(made, driver.entries).choices.values():
        assert choice.best == 5e-4


def test_loss_chooses_the_rate_where_it_is_the_objective(tmp_path: Path) -> None:
    made = arms(tmp_path, extra="objectives: {loss: min, params: min}\n")

    class ByLoss(Driver):
        def end(self, number: int) -> None:
            super().end(number)
            entry = self.entries[number]
            loss = abs(math.log2(entry.job.recipe.lr / 2e-3))
            result = TrialResult("complete", val_accuracy=entry.job.recipe.lr, val_loss=loss)
            self.entries[number] = dataclasses.replace(entry, result=result)

    choices = Tried(made, ByLoss(made).run().entries).choices
    assert [choice.best for choice in choices.values()] == [2e-3] * 3


def test_twins_stand_beside_each_candidate_with_the_same_seeds_and_only_once(
    tmp_path: Path,
) -> None:
    text = f"arms: {{axis: stages.*.loops, reference: 4}}\ncontrols: {TWINS}\n"
    made = study(tmp_path, ARMS, "{seeds: 2}", text)
    driver = Driver(made).run()
    assert len(driver.of("search")) == 6
    known = {(entry.candidate, entry.seed) for entry in driver.entries}
    assert len(known) == len(driver.entries)
    firsts = [entry for entry in driver.of("search") if entry.seed == 0]
    found = beside(made, firsts, driver.entries)
    flat = next(arm.name for arm in made.grid if arm.architecture.loops == 1)
    for arm in made.grid:
        controls = {twin.control: twin for twin in found[arm.name]}
        assert list(controls) == ([] if arm.name == flat else CONTROLS)
        for twin in controls.values():
            assert {(twin.candidate.name, 0), (twin.candidate.name, 1)} <= known
            assert abs(twin.gap) < 0.02
        # The shallow twin of each is the arm of one loop, and is not trained again.
        assert arm.name == flat or controls["shallow"].candidate.name == flat
    assert len(driver.of("twin")) + 6 == least_trials(made)
    for entry in driver.of("twin"):
        assert (entry.values, entry.of in found) == ({}, True)


def test_twins_of_tuned_arms_have_rates_of_their_own(tmp_path: Path) -> None:
    made = arms(tmp_path, extra="controls: [unshared, iso_macs]\n")
    driver = Driver(made).run()
    choices = Tried(made, driver.entries).choices
    assert set(choices) == {one.name for one in competitors(made)}
    assert len(choices) == 3 + 4
    trained = {entry.candidate for entry in driver.of("twin")}
    firsts = [entry for entry in driver.of("search") if entry.seed == 0]
    wanted = {
        t.candidate.name for found in beside(made, firsts, driver.entries).values() for t in found
    }
    assert trained == wanted
    assert len({entry.job.recipe.lr for entry in driver.of("twin")}) > 1


@pytest.mark.parametrize("on", ["train", "train+val"])
@pytest.mark.parametrize("sampler", ["random", "optuna.samplers:NSGAIISampler"])
def test_the_front_is_trained_again_with_fresh_seeds(sampler: str, on: str, tmp_path: Path) -> None:
    text = f"confirm: {{seeds: 3, on: {on}}}\n"
    made = study(tmp_path, SEARCHED, f"{{sampler: {sampler}, trials: 20}}", text)
    driver = Driver(made, lambda e: 0.9 - 1e-6 * (e.cost["params"] % 4999)).run()
    searched = driver.of("search")
    points = [(e.result.val_accuracy, -e.cost["params"]) for e in searched]
    front = {
        e.candidate for e, on_front in zip(searched, nondominated(points), strict=True) if on_front
    }
    again = driver.of("confirmation")
    assert {entry.candidate for entry in again} == front
    assert 1 < len(front) < 20
    seeds = range(CONFIRMATION, CONFIRMATION + 3)
    assert Counter(entry.seed for entry in again) == dict.fromkeys(seeds, len(front))
    assert all(entry.job.whole == (on == "train+val") for entry in again)
    assert min(entry.number for entry in again) == 20
    assert not any(entry.job.whole for entry in searched)


def test_the_front_that_a_sampler_believes_in_is_the_one_that_is_confirmed(tmp_path: Path) -> None:
    made = study(tmp_path, SEARCHED, "{sampler: frontier, trials: 14}", "confirm: {seeds: 2}\n")

    def accuracy(entry: TrialRecord) -> float | None:
        # One is lucky, another one is lost.
        if entry.role == "search" and entry.number in (9, 11):
            return 0.95 if entry.number == 9 else None
        return 0.7 + 0.02 * math.log2(entry.cost["executions"])

    driver = Driver(made, accuracy).run()
    searched = History(made, driver.of("search"))
    sampler = build.build(made)
    assert isinstance(sampler, Frontier)
    confirmed = {entry.candidate for entry in driver.of("confirmation")}
    assert confirmed == set(sampler.front(searched)) != set()
    assert driver.entries[11].candidate not in confirmed


def test_a_longer_study_confirms_what_is_new_on_its_front(tmp_path: Path) -> None:
    def made(trials: int) -> Study:
        search = f"{{sampler: random, trials: {trials}}}"
        return study(tmp_path, SEARCHED, search, "confirm: {seeds: 2}\n")

    driver = Driver(made(8)).run()
    before = {entry.candidate for entry in driver.of("confirmation")}
    # As though it had been trained better than any before.
    driver.made, driver.accuracy = made(9), lambda entry: 0.99
    driver.run()
    new = {entry.candidate for entry in driver.of("confirmation")} - before
    assert new == {driver.of("search")[-1].candidate}


def test_a_candidate_that_diverged_once_is_not_confirmed(tmp_path: Path) -> None:
    search = "{sampler: random, trials: 8, seeds: 2}"
    made = study(tmp_path, SEARCHED, search, "confirm: {seeds: 2}\n")

    def accuracy(entry: TrialRecord) -> float | None:
        best = entry.number in (0, 1)
        return None if entry.number == 1 else 0.99 if best else 0.5

    driver = Driver(made, accuracy).run()
    assert driver.entries[0].candidate == driver.entries[1].candidate
    assert driver.entries[0].candidate not in {e.candidate for e in driver.of("confirmation")}


def test_controls_added_to_a_finished_study_are_trained_beside_it(tmp_path: Path) -> None:
    search = "{sampler: random, trials: 3}"
    driver = Driver(study(tmp_path, SEARCHED, search, "")).run()
    assert len(driver.entries) == 3
    driver.made = study(tmp_path, SEARCHED, search, "controls: [shallow]\n")
    driver.run()
    looping = [e for e in driver.of("search") if e.job.architecture.loops > 1]
    assert [e.of for e in driver.of("twin")] == [e.candidate for e in looping]


def test_what_is_planned_adds_up(tmp_path: Path) -> None:
    made = arms(tmp_path, extra=f"controls: {TWINS}\n")
    found = {phase.role: phase for phase in training_plan(made)}
    assert found["search"].trials == 6
    assert found["search"].exact
    assert found["twin"].trials == 2 * len(found["twin"].candidates)
    # For each of two arms that loop: unshared, iso_macs, iso_train_macs; as wide as gives the
    # parameters is the arm of one loop.
    assert len(found["twin"].candidates) == 6
    assert found["rate"].trials == 4 * (3 + 6)


def test_the_front_of_two_objectives_is_the_same_both_ways() -> None:
    rng = random.Random(0)
    for _ in range(50):
        accuracy = [rng.randrange(6) / 10 for _ in range(20)]
        cost = [rng.randrange(6) for _ in range(20)]
        both = nondominated([(a, -c) for a, c in zip(accuracy, cost, strict=True)])
        assert both.tolist() == pareto(accuracy, cost).tolist()
