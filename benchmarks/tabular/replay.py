"""Studies replayed from the table: the samplers of real studies, without Ray and without training.

A replay asks a sampler for trials as a run does, and ends each with what the table has of that
training: of the seeds that the replay may see. What was selected is scored by the means of test
accuracies over the other seeds (`Table.truth`), which no sampler ever sees.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sret_search.config.study_file import Objective
from sret_search.pareto import hypervolume, pareto
from sret_search.search.phases import next_step
from sret_search.search.samplers import build
from sret_search.search.samplers.base import Ask, Sampler
from sret_search.search.scheduler import Decision, Scheduler
from sret_search.space.feasible_set import FeasibleSet
from sret_search.study import Study, load_study
from sret_search.trials.history import History
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import RungResult, TrialResult

HERE = Path(__file__).parent
SEEDS = 2
"""Seeds that every candidate was trained with: 0 and 1. Some have more."""
OBJECTIVES: dict[Objective, Literal["max", "min"]] = {"accuracy": "max", "params": "min"}
"""Those of a replayed study: what its hypervolume is of."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Training:
    """One training of the table.

    Attributes:
        state: complete or diverged.
        seconds: of its epochs, evaluations of the validation part included.
        curves: by the name of a column of curves.parquet, a value an epoch (epochs,).
    """

    state: str
    seconds: float
    curves: Mapping[str, Floats]

    @property
    def epochs(self) -> int:
        """That it came to the end of."""
        return len(self.curves.get("seconds", ()))

    def after(self, epoch: int) -> RungResult:
        """The outcome as far as it is known after some epochs."""
        names = ("val_accuracy", "val_loss", "seconds")
        return RungResult(*(float(self.curves[name][epoch - 1]) for name in names))

    def seconds_until(self, epoch: int | None) -> float:
        """Of its first epochs; of all of it, where it did not come so far, or for None."""
        if epoch is None or epoch > self.epochs:
            return self.seconds
        return self.after(epoch).seconds if epoch else 0.0

    @property
    def result(self) -> TrialResult:
        """What a sampler may know of it at its end."""
        if self.state != "complete":
            return TrialResult("diverged")
        last = self.after(self.epochs)
        return TrialResult(
            "complete",
            val_accuracy=last.val_accuracy,
            val_loss=last.val_loss,
            seconds=last.seconds,
        )

    @property
    def test_accuracy(self) -> float:
        """At its end; none is right of one that diverged."""
        return float(self.curves["test_accuracy"][-1]) if self.state == "complete" else 0.0


@dataclass(frozen=True)
class Table:
    """All trainings, by the name of their candidate and their seed."""

    trainings: Mapping[str, Mapping[int, Training]]

    @classmethod
    def read(cls, folder: Path = HERE) -> Table:
        """The table as `table.py collect` wrote it."""
        return cls.of(
            pd.read_parquet(folder / "trials.parquet"), pd.read_parquet(folder / "curves.parquet")
        )

    @classmethod
    def of(cls, trials: pd.DataFrame, curves: pd.DataFrame) -> Table:
        """The table of rows a training, and rows an epoch in the order of epochs."""
        names = [name for name in curves.columns if name not in ("candidate", "seed", "epoch")]
        of_training = {
            key: {name: rows[name].to_numpy(float) for name in names}
            for key, rows in curves.groupby(["candidate", "seed"], sort=False)
        }
        found: dict[str, dict[int, Training]] = {}
        for row in trials.itertuples():
            key = row.candidate, row.seed
            training = Training(row.state, float(row.seconds), of_training.get(key, {}))
            found.setdefault(row.candidate, {})[row.seed] = training
        return cls(found)

    def truth(self, seen: Collection[int]) -> dict[str, float]:
        """Of each candidate, the mean test accuracy over all seeds but those that are seen."""
        return {
            name: float(np.mean([t.test_accuracy for s, t in seeds.items() if s not in seen]))
            for name, seeds in self.trainings.items()
        }

    def missing(self, study: Study) -> list[tuple[str, int]]:
        """Trainings of the study's grid that the table does not have."""
        first, seeds = study.file.search.seed, study.file.search.seeds
        return [
            (one.name, seed)
            for one in study.points.all()
            for seed in range(first, first + seeds)
            if seed not in self.trainings.get(one.name, {})
        ]


@dataclass(frozen=True)
class Told:
    """A trial of a replay: what a sampler knows of it, and when, in seconds, it began and ended.
    A scheduler may have stopped it before its training's end."""

    number: int
    candidate: str
    seed: int
    params: int
    macs: int
    state: str
    val_accuracy: float
    val_loss: float
    seconds: float
    began: float
    ended: float


@dataclass(frozen=True)
class Replay:
    """A study that was replayed.

    Attributes:
        index: which replay it is; the sampler's seed.
        seen: seeds whose figures the sampler was told.
        told: the trials, in the order in which they ended.
        fronts: names of the candidates that the sampler itself would select, by the number of
            trials that had ended; none where it leaves that to whoever looks at the results.
    """

    index: int
    seen: tuple[int, ...]
    told: list[Told]
    fronts: dict[int, list[str]] = field(default_factory=dict)

    @cached_property
    def seconds(self) -> Floats:
        """Seconds of training until each trial had ended, of all trials together (trials,)."""
        return np.cumsum([one.seconds for one in self.told])

    def selected(self, trials: int) -> list[str]:
        """The candidates that are selected after so many trials: those that the sampler's latest
        word names; or those on the front of validation accuracy and parameters, of means over
        the seeds that were seen."""
        said = [after for after, names in self.fronts.items() if names and after <= trials]
        if said:
            return self.fronts[max(said)]
        accuracies: dict[str, list[float]] = {}
        ended = [one for one in self.told[:trials] if one.state != "stopped"]
        params = {one.candidate: one.params for one in ended}
        for one in ended:
            accuracies.setdefault(one.candidate, []).append(one.val_accuracy)
        means = [math.fsum(of_one) / len(of_one) for of_one in accuracies.values()]
        on_front = pareto(means, [params[name] for name in accuracies])
        return [name for name, on in zip(accuracies, on_front, strict=True) if on]


def replay(
    study: Study,
    table: Table,
    sampler: str | Mapping[str, Any] | Callable[[Study], Sampler],
    index: int,
    trials: int,
    at_a_time: int = 1,
    fronts_after: Collection[int] | None = None,
    scheduler: str = "none",
) -> Replay:
    """Replay a study with a sampler and a scheduler; the same each time.

    Args:
        study: whose space was trained, that of study.yaml.
        sampler: its name in a study file, the keys of `search` that name it there, or what makes
            it for a study.
        index: seeds the sampler; its parity says which of the seeds 0 and 1 is seen.
        trials: that are begun, after which the replay ends.
        at_a_time: trials that run at a time; of these, the one whose training took the fewest
            seconds since it began ends next.
        fronts_after: numbers of ended trials after which a sampler that has a front of its own
            is asked for it; None is after each one.
        scheduler: by its name, with a study file's defaults.

    Raises:
        KeyError: the sampler asked for a training that the table does not have.
    """
    seen = (index % SEEDS,)
    named = {"sampler": sampler} if isinstance(sampler, str) else sampler
    keys = named if isinstance(named, Mapping) else {"sampler": "random"}
    searched = _with_search(study, keys, index, trials, scheduler)
    asked = build.build(searched) if isinstance(named, Mapping) else named(searched)
    rungs = Scheduler(searched, asked)
    history = History(searched, ())
    found = Replay(index, seen, [])
    running: list[tuple[float, int]] = []
    began: dict[int, float] = {}
    now = 0.0

    def of(entry: TrialRecord) -> tuple[Training, int]:
        seed = seen[entry.seed - index]
        return table.trainings[entry.candidate][seed], seed

    def run(number: int, after: int) -> None:
        """Train on from an epoch to the next rung, or to the end."""
        training, _ = of(history.entries[number])
        until = rungs.until(history.entries[number])
        end = now + training.seconds_until(until) - training.seconds_until(after)
        heapq.heappush(running, (end, number))

    def told(entry: TrialRecord) -> None:
        training, seed = of(entry)
        found.told.append(_told(entry, seed, training, began[entry.number], now))
        front = getattr(asked, "front", None)
        if front is not None and (fronts_after is None or len(found.told) in fronts_after):
            found.fronts[len(found.told)] = front(history)

    while True:
        step: Ask | Decision | str | None = None
        while len(running) < at_a_time:
            step = next_step(history, asked, rungs, is_idle=not running)
            if isinstance(step, Ask):
                history.begin(_begun(searched, step, len(history)))
                began[len(history) - 1] = now
                run(len(history) - 1, 0)
            elif isinstance(step, Decision):
                for number, until in step.promoted.items():
                    entry = history.entries[number]
                    history.replace(replace(entry, until=until))
                    run(number, max(entry.rungs))
                for number in step.stopped:
                    entry = history.entries[number]
                    history.end(replace(entry, result=entry.stopped))
                    told(history.entries[number])
            else:
                break
        if not running:
            return found
        now, number = heapq.heappop(running)
        entry = history.entries[number]
        training, until = of(entry)[0], rungs.until(entry)
        if until is not None and until <= training.epochs:
            history.replace(entry.at_rung(until, training.after(until)))
            continue
        history.end(replace(entry, result=training.result))
        told(history.entries[number])


def hypervolumes(
    replayed: Replay, truth: Mapping[str, float], accuracy: float, most_params: float
) -> pd.DataFrame:
    """How good a study was after each of its trials, by true accuracies.

    Args:
        accuracy, most_params: of the hypervolume's reference.

    Returns:
        A row a trial: `trials` and `seconds` of training so far; the hypervolume of all
        candidates that were `trained` so far, and that of those that were `selected`.
    """
    params = {one.candidate: one.params for one in replayed.told}

    def of(names: Sequence[str]) -> float:
        accuracies = [truth[name] for name in names]
        return hypervolume(accuracies, [params[n] for n in names], accuracy, most_params)

    rows = []
    best: list[str] = []
    for i, one in enumerate(replayed.told):
        if one.state != "stopped":
            best = _truly_best([*best, one.candidate], truth, params)
        rows.append(
            {
                "trials": i + 1,
                "seconds": replayed.seconds[i],
                "trained": of(best),
                "selected": of(replayed.selected(i + 1)),
            }
        )
    return pd.DataFrame(rows)


def reference(study: Study) -> tuple[float, float]:
    """The worst corner of the hypervolume, as reports have it: chance, and the budget's most
    parameters."""
    most = study.space.limits["params"].max
    assert most is not None
    return 1 / study.space.architecture.classes, float(most)


def load(folder: Path = HERE) -> tuple[Study, Table]:
    """The study of the table, and the table."""
    return load_study(folder / "study.yaml"), Table.read(folder)


def _truly_best(
    names: list[str], truth: Mapping[str, float], params: Mapping[str, int]
) -> list[str]:
    """Those on the true front: the others never add to a hypervolume again."""
    on_front = pareto([truth[name] for name in names], [params[name] for name in names])
    return [name for name, on in zip(names, on_front, strict=True) if on]


def _with_search(
    study: Study, named: Mapping[str, Any], seed: int, trials: int, scheduler: str
) -> Study:
    """The same study with another search, without looking through its space again."""
    changed = {**named, "trials": trials, "seeds": 1, "seed": seed}
    file = study.file.model_copy(
        update={
            "search": study.file.search.model_copy(update=changed),
            "scheduler": study.file.scheduler.model_copy(update={"name": scheduler}),
            "objectives": OBJECTIVES,
        }
    )
    other = replace(study, file=file)
    points = FeasibleSet(study.space, study.terms, seed)
    # What does not depend on the seed is shared, the candidates with their names among it.
    vars(points).update(whole=study.points.whole)
    vars(other).update(points=points, terms=study.terms)
    return other


def _begun(study: Study, ask: Ask, number: int) -> TrialRecord:
    job = study.job(ask.candidate, study.file.search.seed + ask.seed, "cpu")
    images = study.sizes[0]
    return TrialRecord.begun(number, job, ask.candidate.values, images, study.origin)


def _told(entry: TrialRecord, seed: int, training: Training, began: float, ended: float) -> Told:
    result = entry.result
    return Told(
        number=entry.number,
        candidate=entry.candidate,
        seed=seed,
        params=entry.cost["params"],
        macs=entry.cost["macs"],
        state=entry.state,
        val_accuracy=result.val_accuracy or 0.0,
        val_loss=math.inf if result.val_loss is None else result.val_loss,
        seconds=training.seconds_until(result.epochs),
        began=began,
        ended=ended,
    )
