"""Optuna's samplers by their import paths: what they are told, and which of them are refused."""

from pathlib import Path

import numpy as np
import pytest
from optuna.samplers import BaseSampler, RandomSampler
from test_samplers import EDITED, NSGA2, TUNED, Driver, study

from sret_search.search.samplers.build import build
from sret_search.search.samplers.optuna_samplers import OptunaSampler
from sret_search.study import StudyError

GP = "optuna.samplers:GPSampler"
TIGHT = TUNED + "budget: {executions: {max: 100}}\n"
PLAIN = "architecture: sret_digits\naxes: {stages.*.loops: {choices: [1, 2, 4, 8]}}\n"


def forgetful(seed: int, mistake: str = "") -> BaseSampler:
    """A sampler that fails once it is asked."""

    class Failing(RandomSampler):
        def sample_independent(self, *given: object) -> float:
            raise RuntimeError(mistake)

    return Failing(seed=seed)


def number(seed: int) -> int:
    """No sampler."""
    return seed


class Healthy(Driver):
    lost = 1000


def test_a_lost_trial_is_as_bad_as_the_worst_known(tmp_path: Path) -> None:
    objectives = "objectives: {loss: min, accuracy: max}\n"
    made = study(tmp_path, f"{{sampler: {GP}, trials: 40}}", TIGHT, objectives)
    driver = Driver(made).run(limit=10)
    sampler = driver.sampler
    assert isinstance(sampler, OptunaSampler)
    sampler.ask(driver.history)
    seen = [trial.values for trial in sampler._mirror.trials[:10]]
    assert driver.entries[6].state == "diverged"
    known = [seen[entry.number] for entry in driver.entries if entry.state == "complete"]
    assert seen[6] == [max(loss for loss, _ in known), min(accuracy for _, accuracy in known)]


def test_a_draw_that_may_not_be_asked_for_is_kept_away_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = study(tmp_path, f"{{sampler: {GP}, trials: 40}}", TUNED, "objectives: {accuracy: max}\n")
    driver = Healthy(made).run(limit=12)
    sampler = driver.sampler
    assert isinstance(sampler, OptunaSampler)
    suggested, proposed = sampler._suggested, []
    monkeypatch.setattr(sampler, "_suggested", lambda trial: proposed.append(suggested(trial)))
    monkeypatch.setattr("sret_search.search.samplers.optuna_samplers._DRAWS", 5)
    next(iter(sampler.draw(driver.history)))
    assert len({one.name for one in proposed}) == 5


def test_tpe_by_its_path_asks_for_what_its_name_does(tmp_path: Path) -> None:
    options = "{n_startup_trials: 10, multivariate: true, group: true}"
    by_path = f"optuna.samplers:TPESampler, options: {options}"
    tables = [
        Healthy(study(tmp_path, f"{{sampler: {name}, trials: 20}}", EDITED)).run().table
        for name in ("tpe", by_path)
    ]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("sampler", ["RandomSampler", "NSGAIIISampler", "BruteForceSampler"])
def test_other_samplers_fill_a_study_too(sampler: str, tmp_path: Path) -> None:
    made = study(tmp_path, f"{{sampler: optuna.samplers:{sampler}, trials: 4}}", PLAIN)
    assert len({entry.candidate for entry in Driver(made).run().entries}) == 4


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("optuna.samplers:QMCSampler", "which a study that is killed would lose"),
        ("optuna.samplers:BruteForceSampler", "failed: ValueError"),
        ("optuna.samplers:GridSampler", "missing a required argument: 'search_space'"),
        ("optuna.samplers:NSGA2Sampler", "has no NSGA2Sampler; did you mean NSGAIISampler?"),
        ("optuna.nowhere:Sampler", "no module optuna.nowhere"),
        ("optuna.samplers:TPESampler, options: {n_startup: 3}", "unexpected keyword argument"),
        ("optuna.samplers:CmaEsSampler", "multi-objective optimization, CmaEsSampler cannot"),
        ("optuna.samplers:NSGAIISampler, options: {population_size: 1}", "cannot be made"),
        ("test_optuna_samplers:number", "makes a int, not a sampler of Optuna's"),
        ("test_optuna_samplers:forgetful, options: {mistake: lost}", "RuntimeError: lost"),
    ],
)
def test_a_sampler_that_does_not_fit_is_refused_by_its_place(
    search: str, message: str, tmp_path: Path
) -> None:
    made = study(tmp_path, f"{{sampler: {search}, trials: 4}}", TUNED)
    with pytest.raises(StudyError) as caught:
        build(made)
    assert message in str(caught.value)
    assert "study.yaml:3:" in str(caught.value)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("sampler: nsga2", "write `sampler: optuna.samplers:NSGAIISampler, options: {population_size: 16}`"),
        ("sampler: tpee", "did you mean tpe?"),
        ("sampler: 'optuna:'", "is not of the form package.module:name"),
        ("sampler: tpe, options: {seed: 3}", "`options` are those of a sampler at an import path"),
        ("sampler: optuna.samplers:TPESampler, options: {seed: 3}", "leave `seed` out"),
    ],
)  # fmt: skip
def test_a_sampler_that_is_not_written_so_is_refused(
    search: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=r"study\.yaml:3:\d+: ") as caught:
        study(tmp_path, f"{{{search}, trials: 4}}")
    assert message in str(caught.value)


def test_generations_are_those_of_the_history_whatever_ended_first(tmp_path: Path) -> None:
    made = study(tmp_path, f"{{sampler: {NSGA2}, trials: 40}}", EDITED)
    driver = Healthy(made)
    for _ in range(38):
        driver.begin()
    order = np.random.default_rng(0).permutation(38).tolist()
    for place in order:
        driver.end(place)
    asked = driver.sampler.ask(driver.history)
    driver.start()
    assert driver.sampler.ask(driver.history) == asked
