"""The table of trainings and its replay, on tables that are made up; no Ray, no training."""

import dataclasses
import itertools
import lzma
import math
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tabular import replay as replays
from tabular import table as tables
from tabular.replay import Replay, Table, hypervolumes, replay

from sret_search.search.samplers import build
from sret_search.search.samplers.base import Ask
from sret_search.study import Study, load_study
from sret_search.trials.history import History
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial_result import TrialResult

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4, 8]}
  stages.*.width: {choices: [8, 16, 32]}
  nll.share: {choices: [none, block]}
budget: {params: {max: 100_000}}
"""
NSGA2 = {"sampler": "optuna.samplers:NSGAIISampler", "options": {"population_size": 16}}
EPOCHS, SEEDS = 3, 2
REFERENCE = 0.1, 100_000


Frames = tuple[pd.DataFrame, pd.DataFrame]


def outcome(rng: np.random.Generator) -> dict:
    """A made-up end of a training."""
    epochs = [
        {name: float(value) for name, value in zip(tables._CURVES, rng.random(7), strict=True)}
        | {"epoch": i + 1, "seconds": i + 0.5}
        for i in range(EPOCHS)
    ]
    last = {name: epochs[-1][name] for name in tables._ENDS}
    about = {"epochs": EPOCHS, "steps": 9, "seconds": 0.5 + 5 * rng.random(), "reruns": []}
    return {"state": "complete", **last, **about, "history": epochs, "environment": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a study ran whose every training ended in a way that was made up."""
    here = tmp_path_factory.mktemp("study")
    (here / "space.yaml").write_text(SPACE)
    search = f"{{sampler: grid, seeds: {SEEDS}}}"
    file = f"study: s\nspace: space.yaml\nsearch: {search}\ntest_curve: true\n"
    (here / "study.yaml").write_text(file)
    made = load_study(here / "study.yaml")
    with chdir(here):
        ledger, rng = Ledger.create(made), np.random.default_rng(0)
        for seed, one in itertools.product(range(SEEDS), made.grid):
            entry = ledger.begin(made.job(one, seed, "cpu"), one.values, made.sizes[0])
            ledger.tell(entry, TrialResult.from_dict(outcome(rng)))
        ledger.close()
        tables.collect([made], Path("trials.parquet"), Path("curves.parquet"))
    return here


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return load_study(folder / "study.yaml")


@pytest.fixture(scope="module")
def collected(folder: Path) -> Frames:
    return pd.read_parquet(folder / "trials.parquet"), pd.read_parquet(folder / "curves.parquet")


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    return Table.read(folder)


def changed(table: Table, seeds: tuple[int, ...], names: tuple[str, ...]) -> Table:
    """The table with other figures."""
    rng = np.random.default_rng(1)
    return Table(
        {
            one: {
                seed: dataclasses.replace(
                    training,
                    curves={
                        name: rng.random(EPOCHS) if seed in seeds and name in names else curve
                        for name, curve in training.curves.items()
                    },
                )
                for seed, training in trainings.items()
            }
            for one, trainings in table.trainings.items()
        }
    )


def test_the_table_has_every_feasible_candidate_with_every_seed(study: Study, table: Table) -> None:
    assert table.trainings.keys() == {one.name for one in study.points.all()}
    assert table.missing(study) == []
    name = next(iter(table.trainings))
    lacking = Table({**table.trainings, name: {0: table.trainings[name][0]}})
    assert lacking.missing(study) == [(name, 1)]


def test_the_table_says_what_the_ledger_says(study: Study, folder: Path, collected: Frames) -> None:
    trials, curves = collected
    assert len(trials) == SEEDS * study.points.number
    assert len(curves) == EPOCHS * len(trials)
    with chdir(folder):
        entries = Ledger.read(study).entries()
    for entry in entries:
        (row,) = trials[(trials.candidate == entry.candidate) & (trials.seed == entry.seed)].iloc
        assert row.params == entry.cost["params"] and row.seconds == entry.result.seconds
        assert row["stages.*.loops"] == entry.values["stages.*.loops"]
        of = curves[(curves.candidate == entry.candidate) & (curves.seed == entry.seed)]
        assert of.epoch.tolist() == [1, 2, 3]
        for name in tables._CURVES:
            assert of[name].tolist() == [getattr(epoch, name) for epoch in entry.result.history]
        for name in tables._ENDS:
            assert row[name] == of[name].iloc[-1] == getattr(entry.result, name)


def test_noise_is_the_deviation_between_seeds_at_each_level() -> None:
    means = {"a": 0.5, "b": 0.7, "c": 0.7}
    rows = [
        {"candidate": name, "state": "complete", "seconds": 36.0, "val_loss": 1.0, "test_loss": 1.0}
        | {"val_accuracy": mean + off, "test_accuracy": mean + 2 * off}
        for name, mean in means.items()
        for off in (-0.01, 0.0, 0.01)
    ]
    text = tables.describe(pd.DataFrame(rows))
    assert "9 trainings of 3 candidates; 0 did" in text and "in all 0.09 hours" in text
    assert "| 0 to 60 % | 1 | 1.0 points | 2.0 points | 0.000 | 0.000 |" in text
    assert "| 60 to 80 % | 2 | 1.0 points | 2.0 points | 0.000 | 0.000 |" in text
    assert "80 to 90" not in text


@pytest.mark.parametrize("at_a_time", [1, 3])
@pytest.mark.parametrize("sampler", ["random", "tpe", NSGA2])
def test_a_replay_is_the_same_each_time_and_tells_each_trial_once(
    study: Study, table: Table, sampler: str | dict[str, Any], at_a_time: int
) -> None:
    one, again = (replay(study, table, sampler, 5, 20, at_a_time) for _ in range(2))
    assert one == again
    assert sorted(trial.number for trial in one.told) == list(range(20))
    assert len({trial.candidate for trial in one.told}) == 20
    for trial in one.told:
        training = table.trainings[trial.candidate][1]
        assert trial.seed == 1 and trial.seconds == training.seconds
        assert trial.val_loss == training.curves["val_loss"][-1]
    assert replay(study, table, sampler, 7, 20, at_a_time) != one
    everything = replay(study, table, sampler, 5, 1000)
    assert {trial.candidate for trial in everything.told} == set(table.trainings)


@pytest.mark.parametrize("sampler", ["tpe", NSGA2])
def test_a_sampler_sees_validation_of_one_seed_and_nothing_else(
    study: Study, table: Table, sampler: str | dict[str, Any]
) -> None:
    tests = ("test_loss", "test_accuracy")
    hidden = changed(changed(table, (0, 1), tests), (0,), tuple(tables._CURVES))
    shown = changed(table, (1,), ("val_loss", "val_accuracy"))
    # Beyond the trials that are drawn before there is a model.
    one, same, other = (replay(study, t, sampler, 1, 24) for t in (table, hidden, shown))
    assert one == same
    assert [trial.val_loss for trial in one.told] != [trial.val_loss for trial in other.told]


def test_so_many_trials_run_at_a_time(study: Study, table: Table) -> None:
    alone, three = (replay(study, table, "random", 0, 20, at_a_time) for at_a_time in (1, 3))
    assert {t.candidate for t in alone.told} == {t.candidate for t in three.told}
    ends = [trial.ended for trial in three.told]
    assert ends == sorted(ends)
    assert ends[-1] < 0.6 * alone.told[-1].ended
    assert alone.told[-1].ended == pytest.approx(alone.seconds[-1])
    for trial in three.told:
        assert trial.ended - trial.began == pytest.approx(trial.seconds)
        beside = [t for t in three.told if t.began <= trial.began < t.ended]
        assert len(beside) <= 3


def test_a_trial_is_asked_for_without_the_results_of_those_that_run(
    study: Study, table: Table
) -> None:
    class Watching:
        def __init__(self, of: Study) -> None:
            self.random = build.build(of)
            self.open: list[int] = []

        def ask(self, history: History) -> Ask | None:
            self.open.append(sum(entry.open for entry in history.entries))
            assert all(entry.result == TrialResult() for entry in history.entries if entry.open)
            asked = self.random.ask(history)
            assert asked != "wait"
            return asked

    made: list[Watching] = []

    def watching(of: Study) -> Watching:
        made.append(Watching(of))
        return made[-1]

    replay(study, table, watching, 0, 10, 3)
    assert made[0].open[:10] == [0, 1, *[2] * 8]


def test_hypervolumes_are_of_the_means_of_the_other_seeds(study: Study, table: Table) -> None:
    truth = table.truth((0,))
    for name, trainings in table.trainings.items():
        assert truth[name] == trainings[1].curves["test_accuracy"][-1]
    found = hypervolumes(replay(study, table, "random", 0, 1000), truth, *REFERENCE)
    assert found.trials.tolist() == list(range(1, 1 + len(table.trainings)))
    assert (found.trained.diff().dropna() >= 0).all()
    assert (found.selected <= found.trained + 1e-12).all()
    assert (found.selected < found.trained).any()
    cheapest_first = sorted(study.points.all(), key=lambda one: one.cost.params)
    points = [(math.log10(one.cost.params), truth[one.name]) for one in cheapest_first]
    edges = [x for x, _ in points[1:]] + [math.log10(REFERENCE[1])]
    best = itertools.accumulate((max(a, REFERENCE[0]) for _, a in points), max)
    steps = zip(points, edges, best, strict=True)
    area = sum((edge - x) * (a - REFERENCE[0]) for (x, _), edge, a in steps)
    assert found.trained.iloc[-1] == pytest.approx(area)


def test_a_sampler_selects_by_a_front_of_its_own(study: Study, table: Table) -> None:
    class First:
        def __init__(self, of: Study) -> None:
            self.random = build.build(of)

        def ask(self, history: History) -> Ask | None:
            asked = self.random.ask(history)
            assert asked != "wait"
            return asked

        def front(self, history: History) -> list[str]:
            return [history.entries[0].candidate]

    truth = table.truth((0,))
    plain = replay(study, table, "random", 0, 8)
    first = replay(study, table, First, 0, 8, fronts_after=(4,))
    assert first.told == plain.told
    found, usual = (hypervolumes(one, truth, *REFERENCE) for one in (first, plain))
    assert found.selected[:3].tolist() == usual.selected[:3].tolist()
    assert found.selected[3:].tolist() == [found.trained[0]] * 5


def test_a_front_is_of_means_over_seeds(study: Study, table: Table) -> None:
    told = replay(study, table, "random", 0, 2).told
    weak, strong = (dataclasses.replace(t, params=100, val_accuracy=0.5) for t in told)
    lucky = dataclasses.replace(weak, number=2, seed=1, val_accuracy=0.6)
    assert set(Replay(0, (0,), [weak, strong]).selected(2)) == {weak.candidate, strong.candidate}
    assert Replay(0, (0, 1), [weak, strong, lucky]).selected(3) == [weak.candidate]


def test_a_packed_ledger_goes_on_without_the_folders_of_its_trials(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "copy"))
    study = load_study(Path("study.yaml").resolve())
    before = Ledger.read(study).entries()
    packed = tables.pack(study)
    first = packed.read_bytes()
    assert tables.pack(study).read_bytes() == first
    assert str(folder).encode() not in lzma.decompress(first)
    with pytest.raises(FileExistsError):
        tables.unpack(study)
    study.folder.rename("elsewhere")
    tables.unpack(study)
    assert not Path(study.trials_root).exists()
    ledger = Ledger.create(study)
    assert ledger.entries() == before
    assert build.build(study).ask(History(study, before)) is None
    one = study.grid[0]
    entry = ledger.begin(study.job(one, SEEDS, "cpu"), one.values, study.sizes[0])
    ledger.tell(entry, TrialResult.from_dict(outcome(np.random.default_rng(0))))
    ledger.close()
    *_, last = Ledger.read(study).entries()
    assert (last.number, last.seed) == (len(before), SEEDS)


def test_the_studies_of_the_table_train_the_same_candidates_with_other_seeds() -> None:
    whole, part = tables.studies_of(tables.HERE)
    names = {one.name for one in whole.points.all()}
    assert 1000 <= len(names) <= 1300
    assert len({one.name for one in part.points.all()} & names) == part.points.number >= 200
    assert max(one.cost.executions for one in whole.points.all()) == 32
    assert (part.file.data, part.file.recipe) == (whole.file.data, whole.file.recipe)
    assert part.file.search.seed == whole.file.search.seeds == replays.SEEDS
    assert part.file.search.seeds + replays.SEEDS == 5
    assert whole.file.test_curve and part.file.test_curve


def test_the_held_back_space_is_of_another_kind_and_as_well_known() -> None:
    (whole, _), (held,) = (tables.studies_of(at) for at in (tables.HERE, tables.HELD_BACK))
    candidates = list(held.points.all())
    assert 200 <= len(candidates) <= 300
    assert not {one.name for one in candidates} & {one.name for one in whole.points.all()}
    assert len(held.space.architecture.stages) > len(whole.space.architecture.stages)
    assert held.file.data.split_seed != whole.file.data.split_seed
    assert (held.file.search.seed, held.file.search.seeds) == (0, replays.SEEDS)
    # The rungs of a replay's scheduler lie in both.
    assert held.file.recipe.epochs == whole.file.recipe.epochs == 9
    assert held.file.test_curve and held.name != whole.name
    chance, most = replays.reference(held)
    assert chance == 0.1 and all(one.cost.params <= most for one in candidates)


@pytest.mark.parametrize("folder", [tables.HERE, tables.HELD_BACK], ids=["tabular", "held back"])
def test_the_tables_in_the_repository_are_whole(folder: Path) -> None:
    made = [one for one in tables.studies_of(folder) if tables.packed(one).exists()]
    if not made:
        pytest.skip("the table is made by studies of its own, which were not run")
    study, table = replays.load(folder)
    assert table.trainings.keys() == {one.name for one in study.points.all()}
    assert all(table.missing(one) == [] for one in made)
