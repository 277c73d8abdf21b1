"""The sampler frontier: what it asks for, why, and how soon it finds a front."""

import dataclasses
import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_samplers import Driver, study

from sret_search.pareto import hypervolume, nondominated
from sret_search.search.samplers.frontier import objective_transform, targets
from sret_search.search.samplers.frontier.ehvi import ExpectedHypervolume, expected
from sret_search.search.samplers.frontier.gp import Numbers
from sret_search.search.samplers.frontier.sampler import Frontier
from sret_search.search.samplers.frontier.targets import Line, Outcome, log_odds
from sret_search.space.candidate import Candidate
from sret_search.study import Study
from sret_search.trials.history import History
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import RungResult, TrialResult

SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [4]
  stem: patch
  stages: [{width: 16, heads: 1, unique: 1, loops: 1, mlp_ratio: 1}]
  residual: {kind: scaled}
axes:
  stages.0.width: {choices: [8, 12, 16, 24, 32, 48]}
  stages.0.loops: {choices: [1, 2, 4, 8]}
  stages.0.unique: {choices: [1, 2, 4]}
  nll.share: {choices: [none, block]}
  nll.ratio: {choices: [0.5, 1.0], when: {nll.share: [block]}}
  residual.kind: {choices: [scaled, lrc, layerscale]}
budget: {params: {max: 60_000}}
"""


def odds(candidate: Candidate) -> float:
    """Width and depth help, less and less; deep unscaled branches hurt, and so do NLLs."""
    a = candidate.architecture
    deep, wide = math.log2(a.executions) / 5, math.log2(a.stages[0].width / 8) / 2.6
    found = -1 + 3 * (1 - math.exp(-2 * wide)) + 2 * (1 - math.exp(-2 * deep))
    found -= 1.5 * (a.residual.kind == "lrc") * max(deep - 0.4, 0) + 0.4 * (
        a.residual.kind == "layerscale"
    )
    return found - 0.3 * (a.nll.share != "none")


class Noisy(Driver):
    """Trials whose losses and accuracies are as noisy as one seed on 350 images makes them."""

    lost = 11

    def end(self, number: int) -> None:
        entry = self.entries[number]
        rng = np.random.default_rng((self.made.file.search.seed, number))
        shown = odds(self.made.space.candidate(entry.values)) + rng.normal(0, 0.12)
        right = rng.binomial(350, 1 / (1 + math.exp(-1 - shown))) / 350
        loss = math.log1p(math.exp(-shown))
        result = TrialResult("complete", val_loss=loss, val_accuracy=right)
        if number % self.lost == self.lost - 1:
            result = TrialResult("diverged")
        self.entries[number] = dataclasses.replace(entry, result=result)
        self.history.end(self.entries[number])

    def covered(self, names: list[str]) -> float:
        """The hypervolume of some candidates, by what is true."""
        found = {e.candidate: self.made.space.candidate(e.values) for e in self.entries}
        some = [found[name] for name in names]
        true = [1 / (1 + math.exp(-1 - odds(one))) for one in some]
        return hypervolume(true, [one.cost.params for one in some], 0.1, 60_000)


class Sure(Noisy):
    """Trials that never diverge."""

    lost = 1000


def frontier(
    folder: Path, search: str = "trials: 40", extra: str = "", space: str = SPACE
) -> Study:
    return study(folder, f"{{sampler: frontier, {search}}}", space, extra)


def sampler(driver: Driver) -> Frontier:
    assert isinstance(driver.sampler, Frontier)
    return driver.sampler


@pytest.mark.parametrize("seed", [0, 1])
def test_it_finds_the_front_in_a_fraction_of_the_trials(seed: int, tmp_path: Path) -> None:
    ours = Sure(frontier(tmp_path, f"trials: 20, seed: {seed}")).run()
    chance = Sure(study(tmp_path, f"{{sampler: random, trials: 100, seed: {seed}}}", SPACE)).run()
    shown = [(e.result.val_accuracy or 0.1, -e.cost["params"]) for e in chance.entries]
    theirs = [chance.entries[i].candidate for i in np.flatnonzero(nondominated(shown))]
    assert ours.covered(sampler(ours).front(ours.history)) > chance.covered(theirs)


def test_a_restart_after_any_trial_changes_nothing(tmp_path: Path) -> None:
    made = frontier(tmp_path, "trials: 22, seeds: 2")
    whole, killed = Noisy(made).run(), Noisy(made)
    killed.run(after_each=killed.start)
    assert whole.table == killed.table
    assert len(whole.entries) == 22


def test_in_which_order_results_came_does_not_matter(tmp_path: Path) -> None:
    driver = Noisy(frontier(tmp_path, "trials: 60")).run(limit=12)
    for _ in range(6):
        driver.begin()
    for number in random.Random(0).sample(range(12, 18), 6):
        driver.end(number)
    first = driver.sampler.ask(driver.history)
    driver.start()
    again = driver.sampler.ask(driver.history)
    assert first is not None and again is not None
    assert first.candidate == again.candidate


def test_open_trials_count_as_if_they_ended_as_expected(tmp_path: Path) -> None:
    driver = Noisy(frontier(tmp_path)).run(limit=10)
    for _ in range(8):
        assert driver.begin()
    assert len({entry.candidate for entry in driver.entries}) == 18
    params = [math.log10(entry.cost["params"]) for entry in driver.entries[10:]]
    assert max(params) - min(params) > 0.5
    assert driver.run(limit=18).entries[17].open


def test_what_is_asked_is_feasible_and_new_up_to_the_last_candidate(tmp_path: Path) -> None:
    small = SPACE.replace("[8, 12, 16, 24, 32, 48]", "[8, 48]").replace("[1, 2, 4, 8]", "[1, 4]")
    small = small.replace("[1, 2, 4]", "[1, 2]")
    driver = Noisy(frontier(tmp_path, "trials: 200", space=small)).run()
    assert len(driver.entries) == driver.made.points.number < 200
    assert len({entry.candidate for entry in driver.entries}) == len(driver.entries)
    for entry in driver.entries:
        assert driver.made.feasible(entry.values) is not None
        assert ("nll.ratio" in entry.values) == (entry.values["nll.share"] == "block")


def test_a_space_without_end_is_drawn_from(tmp_path: Path) -> None:
    axes = "  stages.0.mlp_ratio: {low: 0.5, high: 4.0}\n  recipe.lr: {low: 1e-4, high: 1e-2, log: true}\n"
    space = SPACE.replace("budget", f"{axes}budget")
    made = frontier(tmp_path, "trials: 20", space=space)
    whole, killed = Noisy(made).run(), Noisy(made)
    for limit in (4, 9, 20):
        killed.run(limit)
        killed.start()
    assert whole.table == killed.table
    chance = Noisy(study(tmp_path, "{sampler: random, trials: 20}", space)).run()
    found, theirs = (one.covered([e.candidate for e in one.entries]) for one in (whole, chance))
    assert found > 1.05 * theirs


OBJECTIVES = ["{accuracy: max, params: min, macs: min}", "{macs: min, accuracy: max, params: min}"]


def test_the_order_of_the_objectives_changes_nothing(tmp_path: Path) -> None:
    tables = []
    for objectives in OBJECTIVES:
        made = frontier(tmp_path, "trials: 14", f"objectives: {objectives}\n")
        tables.append(Noisy(made).run().table)
    assert tables[0] == tables[1]


def test_a_loss_is_searched_like_an_accuracy(tmp_path: Path) -> None:
    made = frontier(tmp_path, "trials: 25", "objectives: {loss: min, params: min}\n")
    driver = Noisy(made).run()
    found = driver.covered(sampler(driver).front(driver.history))
    assert found > 0.9 * driver.covered([entry.candidate for entry in driver.entries])


def test_a_front_is_one_of_what_is_believed(tmp_path: Path) -> None:
    driver = Noisy(frontier(tmp_path, "trials: 30")).run()
    entries = driver.entries
    lucky = max(range(8), key=lambda i: entries[i].cost["params"])
    # One result that no neighbour supports, of a training that was not the best by far.
    odd = TrialResult("complete", val_accuracy=0.999, val_loss=0.9)
    entries[lucky] = dataclasses.replace(entries[lucky], result=odd)
    driver.start()
    front = sampler(driver).front(driver.history)
    assert entries[lucky].candidate not in front
    assert len(front) > 4
    costs = {entry.candidate: entry.cost["params"] for entry in entries}
    assert len({costs[name] for name in front}) == len(front)


def gained(merits: Numbers, costs: Numbers, point: Numbers, price: Numbers) -> Numbers:
    """What points at a price add to the hypervolume above 0 and below costs of 1, each alone, by
    counting cells."""
    edges = [
        np.unique([p, 1.0, *one[(one > p) & (one < 1)]])
        for one, p in zip(costs.T, price, strict=True)
    ]
    total = np.zeros(len(point))
    for cell in np.ndindex(*(len(edge) - 1 for edge in edges)):
        low = np.array([edge[i] for edge, i in zip(edges, cell, strict=True)])
        high = np.array([edge[i + 1] for edge, i in zip(edges, cell, strict=True)])
        height = max([0.0, *merits[(costs <= low).all(1)]])
        total += np.maximum(point - height, 0.0) * float(np.prod(high - low))
    return total


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_expected_improvement_is_that_of_many_draws(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    merits, costs = rng.random(6), rng.random((6, dimensions))
    steps = ExpectedHypervolume(merits, costs, 0.0, np.ones(dimensions))
    mean, deviation, price = (
        rng.random(4),
        rng.uniform(0.05, 0.4, 4),
        0.7 * rng.random((4, dimensions)),
    )
    found = steps.improvement(mean, deviation, price)
    for i in range(4):
        draws = mean[i] + deviation[i] * rng.standard_normal(20_000)
        gains = gained(merits, costs, draws, price[i])
        error = 4 * gains.std() / math.sqrt(20_000) + 1e-9
        assert found[i] == pytest.approx(gains.mean(), abs=error)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 2)), max_size=12), st.floats(-3, 3))
def test_units_of_a_cost_change_nothing(points: list[tuple[float, float]], unit: float) -> None:
    merits, costs = np.array([p[0] for p in points]), np.array([[p[1]] for p in points])
    costs = costs.reshape(-1, 1)
    mean, deviation, price = np.full(9, 0.5), np.full(9, 0.1), np.linspace(0, 2, 9)[:, None]
    here = ExpectedHypervolume(merits, costs, 0.1, np.array([1.9])).improvement(
        mean, deviation, price
    )
    moved = ExpectedHypervolume(merits, costs + unit, 0.1, np.array([1.9 + unit]))
    there = moved.improvement(mean, deviation, price + unit)
    assert there == pytest.approx(here, abs=1e-9)
    assert (np.diff(here) <= 1e-12).all()  # the cheaper of two alike never comes second


def test_merged_steps_never_make_a_front_better() -> None:
    rng = np.random.default_rng(0)
    merits, costs = rng.random(120), 1 - 0.3 * rng.random((120, 2))
    price = np.array([[0.75, 0.8]])
    at = np.array([0.9]), np.array([0.001]), price
    merged = ExpectedHypervolume(merits, costs, 0.0, np.ones(2)).improvement(*at)[0]
    some = ExpectedHypervolume(merits[:20], costs[:20], 0.0, np.ones(2)).improvement(*at)[0]
    exact = gained(merits, costs, np.array([0.9]), price[0])[0]
    assert exact <= merged <= 1.2 * exact
    assert merged < some


def test_the_expected_part_above_a_height() -> None:
    rng = np.random.default_rng(0)
    draws = np.maximum(0.3 + 0.2 * rng.standard_normal(200_000) - 0.5, 0)
    assert float(expected(np.array(0.3), np.array(0.2), np.array(0.5))) == pytest.approx(
        draws.mean(), rel=0.02
    )


def outcome(shown: float, accuracy: float = 0.9, rungs: dict[int, float] | None = None) -> Outcome:
    return Outcome(shown, accuracy, 0, rungs or {})


def test_a_lost_training_is_the_worst_and_no_outlier() -> None:
    told = [(0, outcome(2.0)), (1, outcome(-1.0, 0.5)), (2, Outcome(math.nan, math.nan, 0, {}))]
    found = targets.known(told, 0.1)
    assert found.odds[2] < min(found.odds[:2])
    assert found.odds[2] >= log_odds(math.log(10)) - 1
    assert found.accuracy.tolist() == [0.9, 0.5, 0.1]


def test_seeds_are_means_with_less_noise() -> None:
    found = targets.known([(4, outcome(1.0, 0.8)), (7, outcome(0.0)), (4, outcome(2.0, 0.9))], 0.1)
    assert found.which.tolist() == [4, 7]
    assert found.odds.tolist() == [1.5, 0.0]
    assert found.share.tolist() == [0.5, 1.0]
    assert found.accuracy == pytest.approx([0.85, 0.9])


def stopped(entry: TrialRecord, loss: float) -> TrialRecord:
    entry = dataclasses.replace(entry, result=TrialResult())
    entry = entry.at_rung(1, RungResult(0.3, loss, 1.0))
    return dataclasses.replace(entry, result=entry.stopped)


def test_the_end_of_a_stopped_curve_is_guessed_from_others() -> None:
    rng = np.random.default_rng(0)
    ends = rng.normal(1.0, 0.5, 20)
    told = [
        (i, outcome(end, rungs={1: end - 2.0 + 0.05 * rng.normal()})) for i, end in enumerate(ends)
    ]
    stop = Outcome(-1.5, math.nan, 1, {1: -1.5})
    found = targets.known([*told, (20, stop)], 0.1)
    assert found.odds[20] == pytest.approx(0.5, abs=0.15)
    assert (found.extra[:20] == 0).all() and 0.04 < math.sqrt(found.extra[20]) < 0.2
    assert found.seeds[20] == 0 and math.isnan(found.accuracy[20])
    alone = targets.known([(0, stop), (1, outcome(1.0))], 0.1)
    assert alone.extra[0] > found.extra[20]


def test_stopped_trials_guide_and_are_not_on_the_front(tmp_path: Path) -> None:
    driver = Noisy(frontier(tmp_path)).run(limit=20)
    for number in range(0, 20, 2):
        entry = driver.entries[number]
        driver.entries[number] = stopped(entry, 2 * (entry.result.val_loss or 2.0))
    driver.start()
    assert driver.sampler.ask(driver.history) is not None
    stops = {entry.candidate for entry in driver.entries if entry.state == "stopped"}
    front = sampler(driver).front(driver.history)
    assert front and not stops & set(front)


@pytest.mark.parametrize("window", [None, 3])
def test_trials_that_wait_at_rungs_guide(window: int | None, tmp_path: Path) -> None:
    order = "eager" if window is None else "strict"
    rule = "scheduler: {name: mo_asha, grace: 1}\n"
    made = frontier(tmp_path, f"trials: 40, order: {order}", rule)

    def asked(factor: float, again: bool = False) -> list[str]:
        """The next candidates, where all that is known was reached at the first rung."""
        driver = Noisy(made, window)
        for number in range(16):
            assert driver.begin()
            entry = driver.entries[number]
            loss = math.log1p(math.exp(-odds(made.space.candidate(entry.values))))
            loss *= factor if made.space.candidate(entry.values).cost.executions > 4 else 2.0
            reached = RungResult(0.5, loss, 1.0)
            driver.entries[number] = entry.at_rung(1, reached)
            driver.history.replace(driver.entries[number])
            if again:
                driver.start()
        return [entry.candidate for entry in driver.entries]

    assert asked(1.5) == asked(1.5, again=True) != asked(4.0)


@settings(deadline=None, derandomize=True)
@given(st.floats(1e-6, 20), st.floats(1e-6, 20))
def test_log_odds_fall_as_the_loss_rises(one: float, other: float) -> None:
    assert (log_odds(one) - log_odds(other)) * (one - other) <= 0


def test_accuracy_follows_the_loss_and_keeps_a_part_of_its_own() -> None:
    rng = np.random.default_rng(0)
    true = np.linspace(-1, 2, 40)
    own = np.where(np.arange(40) == 20, 1.0, 0.0)
    accuracy = rng.binomial(2000, 1 / (1 + np.exp(-1.4 - true - own))) / 2000
    known = targets.known(
        [(i, outcome(*pair)) for i, pair in enumerate(zip(true, accuracy, strict=True))], 0.1
    )
    model = objective_transform.Accuracy(known, 2000, 0.1)
    mean, deviation = model.of(true, np.full(40, 0.01))
    assert (np.diff(mean) > 0).all()
    assert mean == pytest.approx(1 / (1 + np.exp(-1.4 - true)), abs=0.03)
    believed = model.of_known(known, true)
    assert mean[20] < believed[20] <= accuracy[20]
    assert ((deviation > 0) & (deviation < 0.1)).all()


def test_a_line_bears_points_far_off() -> None:
    x = np.linspace(-2, 2, 30)
    y = 0.5 + 1.2 * x
    y[3] += 8
    line = Line.through(x, y, np.full(30, 0.01), 0.1)
    assert (line.constant, line.slope) == pytest.approx((0.5, 1.2), abs=0.12)


def test_too_little_is_known_for_a_front(tmp_path: Path) -> None:
    driver = Noisy(frontier(tmp_path)).run(limit=1)
    assert sampler(driver).front(driver.history) == []
    assert sampler(driver).front(History(driver.made, [])) == []
