"""The samplers and what they see, without a ledger, without Ray and without training."""

import dataclasses
import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sret_search.search.samplers import build
from sret_search.search.samplers.optuna_samplers import OptunaSampler
from sret_search.space.candidate import Candidate
from sret_search.study import Study, load_study
from sret_search.trials.history import History
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 8]}
  nll.share: {choices: [none, block]}
  nll.ratio: {choices: [0.5, 1.0], when: {nll.share: [block]}}
  recipe.batch_size: {low: 8, high: 128, log: true}
budget: {params: {max: 45_000}}
"""
TUNED = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4, 8, 16, 32]}
  residual.kind: {choices: [lrc, scaled, layerscale]}
  recipe.lr: {low: 1e-4, high: 1e-1, log: true}
"""
SMALL = "architecture: sret_digits\naxes: {stages.*.loops: {choices: [1, 4, 2]}}\n"
NSGA2 = "optuna.samplers:NSGAIISampler, options: {population_size: 16}"
GP = "gp"
MODELS = ["tpe", NSGA2, GP, "frontier"]
DRAWN = ["random", "stratified", "sobol", *MODELS]
SLOW = GP
"""Of this one a few trials beyond the random ones have to do."""


def study(folder: Path, search: str, space: str = SPACE, extra: str = "") -> Study:
    (folder / "space.yaml").write_text(space)
    (folder / "study.yaml").write_text(f"study: s\nspace: space.yaml\nsearch: {search}\n{extra}")
    return load_study(folder / "study.yaml")


def made_up_accuracy(candidate: Candidate) -> float:
    """Best at lr 3e-3, 8 loops and scaled branches."""
    off = 0.1 * abs(math.log10(candidate.recipe.lr / 3e-3))
    off += 0.05 * abs(math.log2(candidate.architecture.loops / 8))
    return 0.9 - off - 0.1 * (candidate.architecture.residual.kind != "scaled")


class Driver:
    """Asks and tells, and keeps what a ledger keeps: the trials."""

    lost = 7
    """Each that-manieth trial diverges."""

    def __init__(self, made: Study, window: int | None = None) -> None:
        self.made, self.window = made, window
        self.entries: list[TrialRecord] = []
        self.start()

    def start(self, made: Study | None = None) -> None:
        """Build everything anew, as after a crash, or after an edit of the study."""
        self.made = made or self.made
        self.history = History(self.made, self.entries, self.window)
        self.sampler = build.build(self.made)

    def begin(self) -> bool:
        """Ask for a trial and begin it, if there is one."""
        ask = self.sampler.ask(self.history)
        if ask is None:
            return False
        job = self.made.job(ask.candidate, self.made.file.search.seed + ask.seed, "cpu")
        number, values = len(self.entries), ask.candidate.values
        entry = TrialRecord.begun(number, job, values, 1258, self.made.origin)
        self.entries.append(TrialRecord.from_dict(json.loads(json.dumps(entry.to_dict()))))
        self.history.begin(self.entries[-1])
        return True

    def end(self, number: int) -> None:
        """End a trial."""
        entry = self.entries[number]
        accuracy = made_up_accuracy(self.made.space.candidate(entry.values)) - 0.01 * entry.seed
        result = TrialResult(
            "complete",
            val_accuracy=accuracy,
            val_loss=1 - accuracy,
            latency_ms=float(entry.cost["executions"]),
        )
        if number % self.lost == self.lost - 1:
            result = TrialResult("diverged")
        self.entries[number] = dataclasses.replace(entry, result=result)
        self.history.end(self.entries[number])

    def run(self, limit: int = 1000, after_each: Callable[[], None] = lambda: None) -> "Driver":
        """One trial after the other."""
        while len(self.entries) < limit and self.begin():
            self.end(len(self.entries) - 1)
            after_each()
        return self

    def run_shuffled(self, seed: int, slots: int) -> "Driver":
        """So many trials at a time, which end in a random order."""
        rng = random.Random(seed)
        more = True
        while True:
            open_ones = [entry.number for entry in self.entries if entry.open]
            may_ask = more and self.history.ready and len(open_ones) < slots
            if may_ask and (not open_ones or rng.random() < 0.7):
                more = self.begin()
            elif open_ones:
                self.end(rng.choice(open_ones))
            else:
                return self

    @property
    def table(self) -> list[tuple[str, int]]:
        return [(e.candidate, e.seed) for e in self.entries]


@pytest.mark.parametrize("sampler", DRAWN)
def test_drawn_trials_fit_the_budget_and_differ(sampler: str, tmp_path: Path) -> None:
    trials = 13 if sampler == SLOW else 24
    made = study(tmp_path, f"{{sampler: {sampler}, trials: {trials}, seed: 3}}")
    entries = Driver(made).run().entries
    assert len({entry.candidate for entry in entries}) == len(entries) == trials
    for entry in entries:
        assert made.feasible(entry.values) is not None
        assert ("nll.ratio" in entry.values) == (entry.values["nll.share"] == "block")


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("sampler", DRAWN)
def test_a_driver_killed_after_every_trial_asks_for_the_same(
    sampler: str, seeds: int, tmp_path: Path
) -> None:
    trials = 12 * seeds if sampler == SLOW else 40
    made = study(tmp_path, f"{{sampler: {sampler}, trials: {trials}, seeds: {seeds}}}")
    whole, killed = Driver(made).run(), Driver(made)
    killed.run(after_each=killed.start)
    assert len(whole.entries) == trials
    assert whole.table == killed.table


@pytest.mark.parametrize("sampler", DRAWN)
def test_a_repeated_ask_is_the_same_ask(sampler: str, tmp_path: Path) -> None:
    limit = 10 if sampler == SLOW else 20
    driver = Driver(study(tmp_path, f"{{sampler: {sampler}, trials: 22}}")).run(limit=limit)
    first = driver.sampler.ask(driver.history)
    assert first is not None
    assert driver.sampler.ask(driver.history) == first
    driver.start()
    assert driver.sampler.ask(driver.history) == first


@pytest.mark.parametrize("sampler", ["grid", *DRAWN])
def test_in_strict_order_the_table_does_not_depend_on_what_ends_first(
    sampler: str, tmp_path: Path
) -> None:
    size = {"grid": "seeds: 2", "random": "seeds: 2, trials: 30", SLOW: "trials: 14"}.get(
        sampler, "trials: 30"
    )
    space = SPACE.replace("{low: 8, high: 128, log: true}", "{choices: [16, 32, 64]}")
    space = space if sampler == "grid" else SPACE
    made = study(tmp_path, f"{{sampler: {sampler}, {size}, order: strict}}", space)
    tables = [Driver(made, window=3).run_shuffled(seed, slots=3).table for seed in range(3)]
    assert len(tables[0]) > (13 if sampler == SLOW else 20)
    assert tables[0] == tables[1] == tables[2]


def test_in_strict_order_a_killed_driver_asks_for_the_same(tmp_path: Path) -> None:
    made = study(tmp_path, f"{{sampler: {NSGA2}, trials: 50, order: strict}}")
    whole, killed = Driver(made, window=4).run_shuffled(0, slots=4), Driver(made, window=4)
    rng = random.Random(1)
    while len(killed.entries) < 50:
        while killed.history.ready and len(killed.entries) < 50:
            killed.begin()
            killed.start()
        for number in rng.sample(range(len(killed.entries)), len(killed.entries)):
            if killed.entries[number].open and rng.random() < 0.7:
                killed.end(number)
                killed.start()
    assert whole.table == killed.table


@pytest.mark.parametrize("sampler", ["tpe", NSGA2])
def test_in_eager_order_the_table_depends_on_what_ends_first(sampler: str, tmp_path: Path) -> None:
    made = study(tmp_path, f"{{sampler: {sampler}, trials: 30}}")
    tables = [Driver(made).run_shuffled(seed, slots=3).table for seed in range(3)]
    assert any(table != tables[0] for table in tables)


def test_a_window_lets_results_in_when_their_turn_comes(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, "{sampler: random, trials: 9}"), window=3)
    history = driver.history
    for _ in range(3):
        assert history.ready
        driver.begin()
    assert not history.ready
    driver.end(1)
    driver.end(2)
    assert (history.ready, history.results) == (False, [])
    driver.end(0)
    assert (history.ready, history.results) == (True, [0])
    assert [history.known(entry) for entry in history.entries] == [True, False, False]
    driver.begin()
    assert (history.ready, history.results) == (True, [0, 1])
    driver.begin()
    driver.begin()
    assert (history.ready, history.results) == (False, [0, 1, 2])
    assert History(driver.made, history.entries, 3).results == [0, 1, 2]
    assert sorted(history.under(None).results) == [0, 1, 2]
    assert history.under(3).current_values == history.current_values


def late_accuracy(made: Study, last: int) -> float:
    entries = Driver(made).run().entries[-last:]
    return float(np.mean([e.result.val_accuracy for e in entries if e.state == "complete"]))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("sampler", "trials", "last", "objectives"),
    [
        ("tpe", 60, 30, "{accuracy: max}"),
        (NSGA2, 120, 40, "{accuracy: max, params: min}"),
    ],
)
def test_a_model_learns_and_random_does_not(
    sampler: str, trials: int, last: int, objectives: str, seed: int, tmp_path: Path
) -> None:
    search = f"{{sampler: {sampler}, trials: {trials}, seed: {seed}}}"
    made = study(tmp_path, search, TUNED, f"objectives: {objectives}\n")
    at_random = made.file.search.model_copy(update={"sampler": "random", "options": None})
    chance = dataclasses.replace(made, file=made.file.model_copy(update={"search": at_random}))
    assert late_accuracy(made, last) > late_accuracy(chance, last) + 0.05


def test_a_used_up_space_ends_the_study(tmp_path: Path) -> None:
    for sampler in DRAWN:
        made = study(tmp_path, f"{{sampler: {sampler}, trials: 9, seeds: 2}}", SMALL)
        driver = Driver(made).run()
        assert len(driver.entries) == 6
        assert not driver.begin()


def test_the_last_candidate_of_a_small_space_is_found(tmp_path: Path) -> None:
    space = "architecture: sret_digits\naxes: {stages.*.loops: {low: 1, high: 60, log: true}}\n"
    made = study(tmp_path, "{sampler: random, trials: 100}", space)
    assert len({entry.candidate for entry in Driver(made).run().entries}) == 60


def test_a_grid_has_every_candidate_with_every_seed_once(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, "{sampler: grid, seeds: 2, seed: 7}", SMALL)).run()
    ran = [(entry.values["stages.*.loops"], entry.seed) for entry in driver.entries]
    assert ran == [(4, 7), (2, 7), (1, 7), (4, 8), (2, 8), (1, 8)]
    driver.start(study(tmp_path, "{sampler: grid, seeds: 2, seed: 6}", SMALL))
    driver.run()
    assert [entry.seed for entry in driver.entries[6:]] == [6, 6, 6]


@pytest.mark.parametrize("sampler", DRAWN)
def test_seeds_of_drawn_candidates_follow_each_other(sampler: str, tmp_path: Path) -> None:
    made = study(tmp_path, f"{{sampler: {sampler}, trials: 6, seeds: 3, seed: 5}}")
    entries = Driver(made).run().entries
    assert [entry.seed for entry in entries] == [5, 6, 7, 5, 6, 7]
    assert len({entry.candidate for entry in entries}) == 2


@pytest.mark.parametrize("sampler", DRAWN)
def test_more_seeds_complete_the_old_candidates_first(sampler: str, tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, f"{{sampler: {sampler}, trials: 4}}")).run()
    driver.start(study(tmp_path, f"{{sampler: {sampler}, trials: 14, seeds: 3}}"))
    old = [entry.candidate for entry in driver.entries]
    driver.run()
    later = [(entry.candidate, entry.seed) for entry in driver.entries[4:]]
    assert later[:8] == [(name, seed) for name in old for seed in (1, 2)]
    assert [seed for _, seed in later[8:]] == [0, 1]
    assert later[8][0] not in old


def test_a_model_sees_a_candidate_once_with_the_mean_of_its_seeds(tmp_path: Path) -> None:
    made = study(tmp_path, f"{{sampler: {NSGA2}, trials: 9, seeds: 3}}")
    driver = Driver(made).run(limit=5)
    driver.begin()
    sampler = driver.sampler
    assert isinstance(sampler, OptunaSampler)
    driver.sampler.ask(driver.history)
    sampler._follow(driver.history)
    states = [trial.state.name for trial in sampler._mirror.trials]
    assert states == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "FAIL", "FAIL"]
    accuracies = [entry.result.val_accuracy for entry in driver.entries[:3]]
    accuracy, params = sampler._mirror.trials[0].values
    assert accuracy == pytest.approx(np.mean(accuracies))
    assert params == made.space.candidate(driver.entries[0].values).cost.params


def test_a_lost_trial_counts_as_the_slowest_known(tmp_path: Path) -> None:
    objectives = "objectives: {accuracy: max, latency_ms: min, train_macs: min}\n"
    made = study(tmp_path, "{sampler: tpe, trials: 30}", TUNED, objectives)
    driver = Driver(made)
    driver.run(after_each=lambda: check_slowest(driver))
    assert len({entry.cost["executions"] for entry in driver.entries}) > 3


def check_slowest(driver: Driver) -> None:
    assert isinstance(driver.sampler, OptunaSampler)
    driver.sampler._follow(driver.history)
    known = [entry.result.latency_ms for entry in driver.entries if entry.state == "complete"]
    for entry, shown in zip(driver.entries, driver.sampler._mirror.trials, strict=True):
        worst = [0.0, max(known, default=0.0), entry.cost["train_macs"]]
        if entry.state == "diverged":
            assert shown.values == worst


def belonging(driver: Driver, made: Study) -> list[int]:
    driver.start(made)
    return list(driver.history.current_values)


EDITED = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4]}
  recipe.batch_size: {low: 8, high: 64, log: true}
"""
SEARCH = "{sampler: tpe, trials: 12}"


def test_the_trials_of_a_study_as_it_was_belong_to_it(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, SEARCH, EDITED)).run()
    grown = EDITED.replace("[1, 2, 4]", "[8, 1, 2, 4]").replace("high: 64", "high: 128")
    assert belonging(driver, study(tmp_path, SEARCH, grown)) == list(range(12))
    longer = study(tmp_path, "{sampler: tpe, trials: 14}", grown)
    driver.start(longer)
    assert len(driver.run().entries) == 14


def test_trials_outside_of_a_smaller_space_do_not_count(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, SEARCH, EDITED)).run()
    for edit, inside in [
        (("[1, 2, 4]", "[1, 2]"), lambda v: v["stages.*.loops"] < 4),
        (("high: 64", "high: 32"), lambda v: v["recipe.batch_size"] <= 32),
    ]:
        own = [entry.number for entry in driver.entries[:12] if inside(entry.values)]
        assert 0 < len(own) < 12
        smaller = study(tmp_path, SEARCH, EDITED.replace(*edit))
        assert belonging(driver, smaller) == own
    before = len(driver.entries)
    driver.run()
    assert len(driver.history.current_values) == 12
    assert all(entry.values["recipe.batch_size"] <= 32 for entry in driver.entries[before:])
    tight = EDITED + "budget: {executions: {max: 8}}\n"
    fits = [
        entry.number
        for entry in driver.entries
        if driver.made.space.candidate(entry.values).cost.executions <= 8
    ]
    assert 0 < len(fits) < len(driver.entries)
    assert belonging(driver, study(tmp_path, SEARCH, tight)) == fits


@pytest.mark.parametrize(("sampler", "trials"), [("random", 7), ("tpe", 14), (NSGA2, 42)])
def test_another_recipe_begins_anew(sampler: str, trials: int, tmp_path: Path) -> None:
    search = f"{{sampler: {sampler}, trials: {trials}}}"
    driver = Driver(study(tmp_path, search, EDITED)).run()
    edited = study(tmp_path, search, EDITED, "recipe: {epochs: 11}\n")
    assert belonging(driver, edited) == []
    driver.run()
    # As if there had been none before.
    fresh = Driver(edited).run()
    assert [row[0] for row in driver.table[trials:]] == [row[0] for row in fresh.table]


def test_an_axis_that_was_added_takes_the_trials_trained_at_one_of_its_values(
    tmp_path: Path,
) -> None:
    driver = Driver(study(tmp_path, SEARCH, EDITED)).run()
    assert driver.made.space.default("residual.kind") == "scaled"
    added = EDITED + "  residual.kind: {choices: [lrc, scaled]}\n"
    assert belonging(driver, study(tmp_path, SEARCH, added)) == list(range(12))
    assert {values["residual.kind"] for values in driver.history.current_values.values()} == {
        "scaled"
    }
    driver.start(study(tmp_path, "{sampler: tpe, trials: 14}", added))
    driver.run()
    assert len(driver.entries) == 14
    assert all("residual.kind" in entry.values for entry in driver.entries[12:])
    others = EDITED + "  residual.kind: {choices: [lrc, layerscale]}\n"
    own = [e.number for e in driver.entries if e.values.get("residual.kind") == "lrc"]
    assert belonging(driver, study(tmp_path, SEARCH, others)) == own


def test_an_axis_that_was_added_under_a_condition_counts_where_that_holds(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, SEARCH, EDITED)).run()
    added = EDITED + "  nll.share: {choices: [none, block]}\n"
    added += "  nll.ratio: {choices: [0.5], when: {nll.share: [block]}}\n"
    assert belonging(driver, study(tmp_path, SEARCH, added)) == list(range(12))
    assert all(values["nll.share"] == "none" for values in driver.history.current_values.values())
    assert all("nll.ratio" not in values for values in driver.history.current_values.values())


def test_an_axis_that_was_removed_keeps_the_trials_at_the_value_of_the_space(
    tmp_path: Path,
) -> None:
    with_kind = EDITED + "  residual.kind: {choices: [lrc, scaled]}\n"
    driver = Driver(study(tmp_path, SEARCH, with_kind)).run()
    own = [e.number for e in driver.entries if e.values["residual.kind"] == "scaled"]
    assert 0 < len(own) < 12
    assert belonging(driver, study(tmp_path, SEARCH, EDITED)) == own


def test_one_axis_for_all_stages_may_become_one_for_each(tmp_path: Path) -> None:
    both = """\
architecture:
  {image_size: 8, in_channels: 1, classes: 10, stem_strides: [1, 2],
   stages: [{width: 16, heads: 1}, {width: 32, heads: 1}]}
axes:
  stages.*.unique: {low: 1, high: 8}
"""
    driver = Driver(study(tmp_path, "{sampler: random, trials: 6}", both)).run()
    each = both.replace("stages.*.unique: {low: 1, high: 8}", "stages.0.unique: {low: 1, high: 8}")
    each += "  stages.1.unique: {low: 1, high: 8}\n"
    split = study(tmp_path, "{sampler: random, trials: 12}", each)
    assert belonging(driver, split) == list(range(6))
    driver.run()
    same = [
        values["stages.0.unique"] == values["stages.1.unique"]
        for values in driver.history.current_values.values()
    ]
    assert not all(same)
    back = study(tmp_path, "{sampler: random, trials: 6}", both)
    assert belonging(driver, back) == [number for number in range(12) if same[number]]


def parents(driver: Driver) -> dict[str, list[int]]:
    """Trials of each generation, as the sampler has them after an ask."""
    assert isinstance(driver.sampler, OptunaSampler)
    driver.sampler.ask(driver.history)
    return dict(driver.sampler._mirror.attributes)


@pytest.mark.parametrize("edit", [("[1, 2, 4]", "[1, 2]"), ("high: 128", "high: 64")])
def test_generations_go_on_where_an_edit_took_parents_away(
    edit: tuple[str, str], tmp_path: Path
) -> None:
    wide = EDITED.replace("high: 64", "high: 128")
    driver = Driver(study(tmp_path, f"{{sampler: {NSGA2}, trials: 41}}", wide)).run(limit=40)
    before = parents(driver)
    assert [len(numbers) for numbers in before.values()] == [16, 16]
    driver.start(study(tmp_path, f"{{sampler: {NSGA2}, trials: 50}}", wide.replace(*edit)))
    gone = set(range(40)) - set(driver.history.current_values)
    assert gone & {number for numbers in before.values() for number in numbers}
    driver.run(limit=44)
    assert not gone & {number for numbers in parents(driver).values() for number in numbers}
    driver.run()
    assert len(driver.history.current_values) == 50


def test_generations_begin_with_the_trials_of_another_sampler(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, "{sampler: random, trials: 30}")).run()
    driver.start(study(tmp_path, f"{{sampler: {NSGA2}, trials: 32}}"))
    (first,) = parents(driver).values()
    assert set(first) <= set(range(16))


def test_a_late_result_changes_the_generations_after_it_alone(tmp_path: Path) -> None:
    driver = Driver(study(tmp_path, f"{{sampler: {NSGA2}, trials: 60}}"))
    for number in range(50):
        driver.begin()
        if number != 20:
            driver.end(number)
    first, *later = parents(driver).values()
    driver.end(20)
    again, *changed = parents(driver).values()
    driver.start()
    assert [again, *changed] == list(parents(driver).values())
    assert again == first
    assert changed != later
