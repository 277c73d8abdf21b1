"""The ledger and the samplers, without Ray and without training."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from sret_search.run import _keep_aside
from sret_search.search import lease, sampling
from sret_search.search.ledger import Entry, Ledger
from sret_search.study import Study, StudyError, load_study
from sret_search.study.space import Candidate

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


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def begin_all(made: Study, ledger: Ledger, limit: int = 100) -> list[int]:
    """Ask and end trials until the sampler has no more."""
    sampler = sampling.build(made)
    numbers = []
    while len(numbers) < limit and (asked := sampler.ask(ledger.entries())) is not None:
        candidate, seed = asked
        job = made.job(candidate, made.file.search.seed + seed, "cpu")
        number = ledger.begin(job, candidate.values, made.space.axes, 1258)
        # A made-up accuracy that grows with depth, so that a model-based sampler has a signal.
        accuracy = 0.5 + candidate.cost.executions / 100
        ledger.tell(number, OUTCOME | {"val_accuracy": accuracy})
        numbers.append(number)
    return numbers


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_drawn_trials_fit_the_budget_and_do_not_depend_on_restarts(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = study(tmp_path, f"{{sampler: {sampler}, trials: 8, seed: 3}}")
    ledger = Ledger.create(made)
    assert begin_all(made, ledger, 3) == [0, 1, 2]
    ledger.close()
    again = Ledger.create(made)
    assert begin_all(made, again) == list(range(3, 8))

    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    whole = Ledger.create(made)
    begin_all(made, whole)
    values = [entry.values for entry in whole.entries()]
    assert values == [entry.values for entry in again.entries()]
    assert len({json.dumps(value) for value in values}) == 8
    for entry in whole.entries():
        assert made.space.over_budget(made.space.candidate(entry.values)) is None
        assert ("nll.ratio" in entry.values) == (entry.values["nll.share"] == "block")


TUNED = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4, 8, 16, 32]}
  residual.kind: {choices: [lrc, scaled, layerscale]}
  recipe.lr: {low: 1e-4, high: 1e-1, log: true}
"""


def made_up_accuracy(candidate: Candidate) -> float:
    """Best at lr 3e-3, 8 loops and scaled branches."""
    off = 0.1 * abs(math.log10(candidate.recipe.lr / 3e-3))
    off += 0.05 * abs(math.log2(candidate.values["stages.*.loops"] / 8))
    return 0.9 - off - 0.1 * (candidate.values["residual.kind"] != "scaled")


@pytest.mark.parametrize("seed", [0, 1])
def test_tpe_learns_and_random_does_not(seed: int, tmp_path: Path) -> None:
    late = {}
    for name in ("random", "tpe"):
        made = study(
            tmp_path,
            f"{{sampler: {name}, trials: 60, seed: {seed}}}",
            TUNED,
            "objectives: {accuracy: max}\n",
        )
        sampler, entries = sampling.build(made), []
        while (asked := sampler.ask(entries)) is not None:
            job = made.job(asked[0], asked[1], "cpu")
            result = {"val_accuracy": made_up_accuracy(asked[0])}
            entries.append(Entry(len(entries), "complete", asked[0].values, job, 1258, result))
        late[name] = np.mean([entry.result["val_accuracy"] for entry in entries[30:]])
    assert late["tpe"] > late["random"] + 0.05


def test_a_space_that_is_used_up_ends_the_study(tmp_path: Path) -> None:
    space = "architecture: sret_digits\naxes: {stages.*.loops: {choices: [1, 2]}}\n"
    made = study(tmp_path, "{sampler: random, trials: 9}", space)
    assert len(begin_all(made, Ledger.create(made))) == 2


def test_a_grid_has_every_candidate_with_every_seed_once(tmp_path: Path) -> None:
    space = "architecture: sret_digits\naxes: {stages.*.loops: {choices: [1, 4, 2]}}\n"
    made = study(tmp_path, "{sampler: grid, seeds: 2, seed: 7}", space)
    ledger = Ledger.create(made)
    begin_all(made, ledger)
    ran = [(entry.values["stages.*.loops"], entry.job.seed) for entry in ledger.entries()]
    assert ran == [(4, 7), (2, 7), (1, 7), (4, 8), (2, 8), (1, 8)]


def test_seeds_of_drawn_candidates_follow_each_other(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 6, seeds: 3, seed: 5}")
    ledger = Ledger.create(made)
    begin_all(made, ledger)
    entries = ledger.entries()
    assert [entry.job.seed for entry in entries] == [5, 6, 7, 5, 6, 7]
    assert len({entry.job.candidate for entry in entries}) == 2


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
    other = study(tmp_path, "{sampler: grid}", space.replace("block]", "stage]"))
    with pytest.raises(StudyError, match=r"the axis nll.share was .*block.* and is now .*stage"):
        Ledger.create(other)


def test_a_study_without_trials_takes_any_edit(tmp_path: Path) -> None:
    Ledger.create(study(tmp_path, "{sampler: random, trials: 1}")).close()
    extra = "data: {split_seed: 4}\nobjectives: {loss: min, macs: min, params: min}\n"
    edited = study(tmp_path, "{sampler: random, trials: 1}", extra=extra)
    ledger = Ledger.create(edited)
    assert begin_all(edited, ledger) == [0]
    assert ledger.entry(0).job.data.split_seed == 4


def test_attempts_never_share_a_folder(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 1}")
    ledger = Ledger.create(made)
    first, second = ledger.next_attempt(0), ledger.next_attempt(0)
    first.rmdir()
    assert ledger.next_attempt(0).name == "attempt-3"
    assert [path.name for path in ledger.attempts(0)] == [second.name, "attempt-3"]


def test_a_result_in_the_folder_is_adopted_once(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 2}")
    ledger = Ledger.create(made)
    candidate, seed = sampling.build(made).ask([]) or pytest.fail("nothing asked")
    number = ledger.begin(made.job(candidate, seed, "cpu"), candidate.values, made.space.axes, 1258)
    assert ledger.entry(number).open
    dead, alive = ledger.next_attempt(number), ledger.next_attempt(number)
    assert (dead.name, alive.name) == ("attempt-1", "attempt-2")
    assert not ledger.adopt(number)
    (dead / "result.json").write_text('{"state": "compl')
    assert not ledger.adopt(number)
    (alive / "result.json").write_text(json.dumps(OUTCOME | {"job": "another job"}))
    assert not ledger.adopt(number)
    job = ledger.entry(number).job
    (alive / "result.json").write_text(json.dumps(OUTCOME | {"job": job.identity}))
    assert ledger.adopt(number)
    entry = ledger.entry(number)
    assert (entry.state, entry.result["val_accuracy"]) == ("complete", 0.5)
    assert entry.job == made.job(candidate, seed, "cpu")


def test_a_trial_that_could_not_read_its_data_stays_open(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 2}")
    ledger = Ledger.create(made)
    candidate, seed = sampling.build(made).ask([]) or pytest.fail("nothing asked")
    job = made.job(candidate, seed, "cpu")
    number = ledger.begin(job, candidate.values, made.space.axes, 1258)
    assert ledger.unreadable(number) is None
    error = {"state": "failed", "job": job.identity, "reason": "cannot read a.jpg"}
    attempt = ledger.next_attempt(number)
    (attempt / "error.json").write_text(json.dumps(error | {"cause": "data"}))
    assert not ledger.adopt(number)
    assert ledger.unreadable(number) == "cannot read a.jpg"
    (ledger.next_attempt(number) / "error.json").write_text(json.dumps(error | {"cause": "error"}))
    assert ledger.unreadable(number) is None
    assert ledger.adopt(number)
    assert ledger.entry(number).result["cause"] == "error"


def test_diverged_trials_are_results(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: tpe, trials: 3}")
    ledger = Ledger.create(made)
    sampler = sampling.build(made)
    for _ in range(3):
        candidate, seed = sampler.ask(ledger.entries()) or pytest.fail("nothing asked")
        number = ledger.begin(
            made.job(candidate, seed, "cpu"), candidate.values, made.space.axes, 1258
        )
        ledger.tell(number, {"state": "diverged", "reason": "the loss became nan at step 3"})
    assert [entry.state for entry in ledger.entries()] == ["diverged"] * 3
    assert ledger.entry(0).result["reason"] == "the loss became nan at step 3"
    assert sampler.ask(ledger.entries()) is None


def test_a_study_is_held_by_one(tmp_path: Path) -> None:
    refused = pytest.raises(lease.StudyHeldError, match="held by process")
    with lease.hold(tmp_path / "runs"), refused, lease.hold(tmp_path / "runs"):
        pass
    with lease.hold(tmp_path / "runs"):
        pass


@pytest.mark.parametrize("place", ["storage: {}", "storage: {trials: elsewhere}"])
def test_a_fresh_start_keeps_ledger_and_trials_aside(place: str, tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 1}", extra=f"{place}\n")
    ledger = Ledger.create(made)
    begin_all(made, ledger)
    attempt = ledger.next_attempt(0)
    (attempt / "result.json").write_text("{}")
    ledger.close()
    _keep_aside(made)
    assert Ledger.create(made).entries() == []
    kept = [path for path in tmp_path.rglob("result.json") if path != attempt / "result.json"]
    assert len(kept) == 1
    assert not attempt.exists()
    _keep_aside(made)
    assert len(list(tmp_path.rglob("study.db"))) == 2


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 2}")
    (tmp_path / "runs/s").mkdir(parents=True)
    (tmp_path / "runs/s/study.db").write_text(
        "not a database, but long enough to look like one" * 40
    )
    with pytest.raises(StudyError, match=r"study.db: not a study's database"):
        Ledger.create(made)


def test_a_job_survives_the_ledger(tmp_path: Path) -> None:
    made = study(tmp_path, "{sampler: random, trials: 1}")
    ledger = Ledger.create(made)
    begin_all(made, ledger)
    job = ledger.entry(0).job
    assert dataclasses.replace(job, seed=job.seed) == job
    assert job.recipe.lr == ledger.entry(0).values["recipe.lr"]
