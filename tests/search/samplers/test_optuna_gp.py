"""What Optuna's Gaussian processes are told, and what stands for what they may not ask for."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from test_samplers import TUNED, Driver, study

from sret_search.search.samplers.optuna_gp import GP

TIGHT = TUNED + "budget: {executions: {max: 100}}\n"


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    objectives = "objectives: {loss: min, accuracy: max}\n"
    made = study(tmp_path, "{sampler: gp, trials: 40}", TIGHT, objectives)
    return Driver(made).run(limit=10)


def test_a_lost_trial_is_as_bad_as_the_worst_known(driver: Driver) -> None:
    sampler = driver.sampler
    assert isinstance(sampler, GP)
    sampler.ask(driver.history)
    told = [trial.values for trial in sampler._mirror.trials[:10]]
    assert driver.entries[6].state == "diverged"
    known = [told[entry.number] for entry in driver.entries if entry.state == "complete"]
    assert len(known) == 9
    assert told[6] == [max(loss for loss, _ in known), min(accuracy for _, accuracy in known)]


def test_the_best_of_a_pool_stands_for_what_may_not_be_asked_for(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = driver.sampler
    assert isinstance(sampler, GP)
    suggested, proposed = sampler._suggested, []
    # Over the budget, whatever it is; and before that, what the processes would propose.
    monkeypatch.setattr(sampler, "_suggested", lambda trial: proposed.append(suggested(trial)))
    asked = [ask.candidate for ask in itertools.islice(sampler.draw(driver.history), 50)]
    pool, _ = sampler._pool
    assert len({one.name for one in asked}) == 50
    assert {one.name for one in asked} < {one.name for one in pool}
    assert all(driver.made.feasible(one.values) is not None for one in asked)
    # They are near to each other in what the model liked, where the pool is spread out.
    assert proposed[0] is not None
    best = np.log10(proposed[0].recipe.lr)
    off = [np.mean([abs(np.log10(one.recipe.lr) - best) for one in some]) for some in (asked, pool)]
    assert off[0] < 0.7 * off[1]


def test_threads_are_as_they_were(driver: Driver) -> None:
    threads = torch.get_num_threads()
    driver.begin()
    assert torch.get_num_threads() == threads


class Healthy(Driver):
    lost = 1000


def test_a_few_trials_after_the_random_ones_find_better(tmp_path: Path) -> None:
    best = {}
    for sampler in ("gp", "random"):
        search = f"{{sampler: {sampler}, trials: 18}}"
        made = study(tmp_path, search, TUNED, "objectives: {accuracy: max}\n")
        best[sampler] = max(e.result.val_accuracy for e in Healthy(made).run().entries)
    assert best["gp"] > best["random"] + 0.02
