"""What charts are of: hypervolume over trials, learning curves, importances, failures, rungs."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sret_search import pareto
from sret_search.config.space_file import Budget
from sret_search.config.study_file import Reference, Report
from sret_search.reporting.analyses.curves import learning_curves
from sret_search.reporting.analyses.early_stopping import at_rungs
from sret_search.reporting.analyses.failures import Failure, causes
from sret_search.reporting.analyses.hypervolume import growth
from sret_search.reporting.analyses.importances import axis_importances
from sret_search.training.results import EpochMetrics
from sret_search.trials.trial_result import RungResult, TrialResult

TRIALS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), min_size=1, max_size=30)
PARAMS = [100, 300, 300, 1000, 5000, 20_000]


def results(complete: list[tuple[int, float]], params: object = 10_000) -> SimpleNamespace:
    """Trials of candidates, by their place in PARAMS, and what they reached."""
    entries = [
        SimpleNamespace(
            number=i, candidate=f"c{place}", cost={"params": PARAMS[place]},
            result=TrialResult("complete", val_accuracy=accuracy),
        )
        for i, (place, accuracy) in enumerate(complete)
    ]  # fmt: skip
    study = SimpleNamespace(
        file=SimpleNamespace(report=Report(hypervolume_reference=Reference(params=params))),
        space=SimpleNamespace(budget=Budget(), architecture=SimpleNamespace(classes=10)),
    )
    sound = pd.DataFrame({"candidate": [entry.candidate for entry in entries]})
    return SimpleNamespace(complete=entries, study=study, sound=sound)


@settings(deadline=None, derandomize=True)
@given(TRIALS)
def test_the_hypervolume_of_any_time_is_of_the_means_so_far(trials: list[tuple[int, int]]) -> None:
    complete = [(place, accuracy / 20) for place, accuracy in trials]
    curve = growth(results(complete))
    assert curve is not None
    assert curve.trials == list(range(1, len(complete) + 1))
    for number, volume in zip(curve.trials, curve.volume, strict=True):
        means = pd.DataFrame(complete[:number]).groupby(0)[1].mean()
        params = [PARAMS[place] for place in means.index]
        assert volume == pytest.approx(pareto.hypervolume(list(means), params, 0.1, 10_000))


def test_many_trials_are_looked_at_now_and_then_and_at_the_end() -> None:
    curve = growth(results([(i % 6, 0.5) for i in range(5000)]))
    assert curve is not None
    assert len(curve.trials) == 200
    assert (curve.trials[0], curve.trials[-1]) == (1, 5000)


def test_without_a_largest_budget_there_is_no_hypervolume() -> None:
    assert growth(results([(0, 0.5)], "budget")) is None
    assert growth(results([])) is None


def space(count: int, accuracy: object) -> SimpleNamespace:
    """Candidates over four axes, of which one follows another and one counts under conditions."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "width": rng.choice([8, 16, 32], count),
        "lr": 10 ** rng.uniform(-4, -2, count),
        "share": rng.choice(["none", "block"], count),
        "depth": rng.integers(1, 100, count),
    })  # fmt: skip
    table["follows"] = table.width * 2
    table["ratio"] = rng.choice([0.5, 1.0], count)
    table.loc[table.share == "none", "ratio"] = np.nan
    table["val_accuracy"] = accuracy(table) + 0.001 * rng.normal(size=count)
    axes = dict.fromkeys([*table.columns[:-1]])
    return SimpleNamespace(sound=table, study=SimpleNamespace(space=SimpleNamespace(axes=axes)))


def test_the_axis_that_decides_is_the_important_one() -> None:
    measured = axis_importances(space(120, lambda t: 0.5 + 0.01 * t.width))
    assert measured is not None
    assert (measured.candidates, measured.looked_at) == (120, 120)
    first, *other_axes = measured.axes
    assert first.axis == "width, follows"
    assert first.stands_out
    assert first.share > 0.5
    assert {axis.axis for axis in other_axes} == {"lr", "share", "depth", "ratio"}
    assert sum(axis.share for axis in measured.axes) == pytest.approx(1)
    assert sum(axis.stands_out for axis in other_axes) <= 1


def test_a_rate_in_the_middle_and_a_conditional_axis_can_be_important() -> None:
    measured = axis_importances(space(120, lambda t: 0.9 - np.log10(t.lr * 1000) ** 2))
    assert measured is not None
    assert (measured.axes[0].axis, measured.axes[0].stands_out) == ("lr", True)
    measured = axis_importances(space(120, lambda t: 0.5 + t.ratio.fillna(0)))
    assert measured is not None
    shares = {axis.axis: axis for axis in measured.axes}
    assert shares["share"].stands_out
    assert shares["ratio"].stands_out


def test_chance_lets_no_axis_stand_out() -> None:
    """At 5 % for all axes together; each axis at 5 % of its own would in half of these studies."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(12):
        made = space(30, lambda t: rng.normal(size=len(t)))
        for i in range(4):
            made.sound[f"more {i}"] = rng.integers(0, 2 + i, 30)
            made.study.space.axes[f"more {i}"] = None
        measured = axis_importances(made)
        assert measured is not None
        assert len(measured.axes) == 9
        assert measured.facts["standing_out"] == measured.standing_out
        assert [axis["stands_out"] for axis in measured.facts["axes"]].count(
            True
        ) == measured.standing_out
        wrong += measured.standing_out > 0
    assert wrong <= 2


def test_little_says_nothing_of_importance() -> None:
    assert axis_importances(space(9, lambda t: 0.5 + 0.01 * t.width)) is None
    made = space(40, lambda t: 0.5 + 0.01 * t.width)
    made.study.space.axes = {"width": None, "follows": None}
    assert axis_importances(made) is None


def trained(count: int) -> SimpleNamespace:
    entries = [
        SimpleNamespace(
            number=i, candidate=f"c{i // 2}", seed=i % 2, cost={"params": i // 2, "executions": 4},
            result=TrialResult("complete", history=tuple(
                EpochMetrics(
                    epoch=e, step=e, train_loss=1 / e, val_loss=1 / e, val_accuracy=e / 10, seconds=e
                )
                for e in (1, 2, 3)
            )),
        )
        for i in range(count)
    ]  # fmt: skip
    half = np.arange(count // 2)
    table = pd.DataFrame({
        "candidate": [f"c{i}" for i in half], "params": half,
        "val_accuracy": np.where(half % 20 == 0, half, 0) / count,
    })  # fmt: skip
    return SimpleNamespace(
        complete=entries, front=table[pareto.pareto(table.val_accuracy, table.params)]
    )


def test_of_many_curves_those_of_the_front_are_drawn_last_and_thirty_in_all() -> None:
    selection = learning_curves(trained(200))
    assert selection is not None
    assert (len(selection.drawn), selection.trials) == (30, 200)
    of_front = [curve for curve in selection.drawn if curve.on_front]
    assert selection.drawn[-len(of_front) :] == of_front
    assert {curve.candidate for curve in of_front} == {"c0", "c20", "c40", "c60", "c80"}
    assert (of_front[0].epochs, of_front[0].val_accuracy) == ([1, 2, 3], [0.1, 0.2, 0.3])


def test_trials_without_two_epochs_have_no_curve() -> None:
    made = trained(4)
    for entry in made.complete:
        entry.result = replace(entry.result, history=entry.result.history[:1])
    assert learning_curves(made) is None


def test_causes_are_counted_of_trials_and_of_attempts() -> None:
    def entry(state: str, cause: str | None = None, **failures: int) -> SimpleNamespace:
        return SimpleNamespace(
            state=state, result=TrialResult(state, cause=cause), failures=failures
        )

    entries = [
        entry("diverged"), entry("diverged"), entry("failed", "out of memory", memory=2),
        entry("complete", died=1, memory=1), entry("running"),
    ]  # fmt: skip
    assert causes(SimpleNamespace(entries=entries)) == [
        Failure("loss not finite", 2, True),
        Failure("out of memory", 1, True),
        Failure("memory", 3, False),
        Failure("died", 1, False),
    ]


def test_a_trial_is_stopped_at_its_last_rung_alone() -> None:
    rungs = {9: RungResult(0.7, 1.0, 9.0), 3: RungResult(0.6, 1.0, 3.0)}
    entries = [
        SimpleNamespace(number=i, candidate="c", state=state, rungs=rungs, cost={"executions": 4})
        for i, state in enumerate(("stopped", "complete"))
    ]
    decisions = at_rungs(SimpleNamespace(entries=entries))
    assert [(decision.trial, decision.epoch, decision.is_stopped) for decision in decisions] == [
        (0, 3, False), (0, 9, True), (1, 3, False), (1, 9, False),
    ]  # fmt: skip
