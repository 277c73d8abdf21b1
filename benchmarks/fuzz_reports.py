"""Pages of made-up ledgers of every sort, looked through for what no page may have.

    OMP_NUM_THREADS=1 python benchmarks/fuzz_reports.py --pages 20000   # about 15 minutes of one core
    OMP_NUM_THREADS=1 python benchmarks/fuzz_reports.py --page 1234     # that page alone, with its traceback

Page n is the same in every run. Its study and how that ran are drawn from what the tables below list:
kinds of studies; edits between two runs; how accurate trials are, and how accuracies differ; losses;
states of trials; images; predictions and histories that are there or not. All that a report is made
of is made from it but the pictures: comparisons, answer, sentences, charts as data, tables and summary; of every third
the page, and of every twentieth that with its charts.

No page may raise an error. No sentence may be of an unknown kind (`null_studies.KINDS`), or have a word
like nan or None; no interval may be out of order or without an end that is a number; no accuracy may lie
outside of 0 to 1. The summary must be JSON as its standard has it, without NaN.

Prints each kind of fault once, with the pages that have it; ends with an error where there is one.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import math
import re
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from ledgers import ENVIRONMENT, Described, complete, ended, share_work
from null_studies import kind_of

from sret_search.job.job import Parent
from sret_search.reporting import summary, write
from sret_search.reporting.analyses import front
from sret_search.reporting.analyses.arms import arms
from sret_search.reporting.analyses.confirmation import confirmed
from sret_search.reporting.analyses.contrasts.numbers import contrasts
from sret_search.reporting.analyses.depth.numbers import depths
from sret_search.reporting.analyses.elastic.numbers import elastics
from sret_search.reporting.analyses.learning_rates import tuned
from sret_search.reporting.analyses.scaling.interval import Estimate
from sret_search.reporting.analyses.scaling.laws import scaling
from sret_search.reporting.analyses.twins import pairs
from sret_search.reporting.contents import analyses, blocks
from sret_search.reporting.notices import notices
from sret_search.reporting.recommendation import answer
from sret_search.reporting.render.chart import Chart
from sret_search.reporting.results import Results
from sret_search.reporting.sentences import sentences
from sret_search.study.description import StudyDescription
from sret_search.training.results import EpochMetrics, RerunResult
from sret_search.trials import compatibility
from sret_search.trials.declarations import Declaration
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import RungResult, TrialResult, failed

SEED = 20261129
_PAGE, _CHARTS = 3, 20
"""Pages of which one is rendered, and pages of which one is rendered with its charts."""
_MANY, _MANY_EVERY = 10_000, 7000
"""Candidates of a large study; one page in so many is of one."""

_ARCHITECTURE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages: [{width: 16, heads: 1, unique: 2, loops: 2, groups: [1], mlp_ratio: 2}]
  nll: {share: none}
  residual: {kind: scaled, lam: 1, p: 0.5, q: 0.5}
"""
_RECIPE = {"epochs": "9", "warmup": "1", "batch_size": "64", "lr": "1e-2"}

Text = dict[str, str]
"""A study, by the keys of its file; `axes` are those of its space, and `budget` that of its space."""

RATIOS = "stages.*.mlp_ratio: {choices: [1, 2, 4]}"
LOOPS = "stages.*.loops: {choices: [1, 2, 4, 8]}"
SHARES = "nll.share: {choices: [none, block, stage, execution]}"
KINDS = "residual.kind: {choices: [scaled, lrc]}"
RATES = "recipe.lr: {low: 1e-3, high: 1e-1, log: true}"
STUDIES: dict[str, Text] = {
    "one candidate": {"axes": ""},
    "two candidates": {"axes": "stages.*.mlp_ratio: {choices: [1, 4]}"},
    "grid": {"axes": f"{RATIOS}\n{LOOPS}"},
    "depths alone": {"axes": LOOPS},
    "rates": {
        "axes": f"{RATES}\n{LOOPS}\n{SHARES}",
        "search": "{sampler: random, trials: 10, seeds: SEEDS}",
        "budget": "{params: {max: 60_000}}",
    },
    "searched": {
        "axes": f"{RATIOS}\n{LOOPS}\n{SHARES}\n{KINDS}\n"
        "residual.p: {choices: [0, 0.5, 1], when: {residual.kind: [scaled]}}",
        "search": "{sampler: random, trials: 14, seeds: SEEDS}",
        "budget": "{params: {max: 60_000}}",
    },
    "frontier": {
        "axes": f"{RATIOS}\n{LOOPS}\n{SHARES}",
        "search": "{sampler: frontier, trials: 8, seeds: 1}",
        "confirm": "{seeds: 2}",
    },
    "rungs": {
        "axes": f"{RATIOS}\n{LOOPS}",
        "search": "{sampler: random, trials: 12, seeds: 1}",
        "scheduler": "{name: mo_asha, grace: 1, eta: 3}",
    },
    "depths": {
        "axes": LOOPS,
        "arms": "{axis: stages.*.loops, reference: 2}",
        "controls": "[rerun]",
    },
    "depths and twins": {
        "axes": LOOPS,
        "arms": "{axis: stages.*.loops, reference: 1}",
        "controls": "[unshared, shallow, iso_params, iso_macs, iso_train_macs, rerun]",
    },
    "arms": {"axes": SHARES, "arms": "{axis: nll.share, reference: none}"},
    "arms and twins": {
        "axes": SHARES,
        "arms": "{axis: nll.share, reference: block}",
        "controls": "[unshared, iso_params]",
    },
    "arms at their rates": {
        "axes": "stages.*.loops: {choices: [1, 4]}",
        "arms": "{axis: stages.*.loops, reference: 1, lr: {grid: [5e-3, 1e-2, 2e-2, 4e-2]}}",
        "controls": "[iso_params, rerun]",
    },
    "twins": {"axes": LOOPS, "controls": "[shallow, iso_macs]"},
    "contrasts": {
        "axes": f"stages.*.loops: {{choices: [1, 4, 8]}}\nnll.share: {{choices: [none, block]}}\n{KINDS}",
        "contrasts": "[{axis: residual.kind, of: lrc, against: scaled}, {axis: nll.share, of: block,"
        " against: none, within: {stages.*.loops: 4}}, {axis: stages.*.loops, of: 8, against: 1}]",
    },
    "elastic": {
        "axes": "recipe.depth_training: {choices: [fixed, sandwich]}\n"
        "stages.*.loops: {choices: [1, 2, 4], when: {recipe.depth_training: [fixed]}}",
        "architecture": _ARCHITECTURE.replace("loops: 2", "loops: 4"),
        "arms": "{axis: recipe.depth_training, reference: fixed}",
    },
    "elastic alone": {
        "axes": "",
        "architecture": _ARCHITECTURE.replace("loops: 2", "loops: 4"),
        "recipe.depth_training": "sandwich",
    },
}
OPTIONS: tuple[tuple[float, Text], ...] = (
    (0.15, {"data": "{name: digits, folds: 5}"}),
    (0.1, {"objectives": "{loss: min, params: min, macs: min}"}),
    (0.05, {"objectives": "{accuracy: max, latency_ms: min, params: min}"}),
    (0.05, {"objectives": "{accuracy: max, memory: min}"}),
    (0.15, {"confirm": "{seeds: 2}"}),
    (0.15, {"confirm": "{seeds: 3, on: train+val}"}),
    (0.1, {"report": "{reference: sret_imagenet}"}),
)
"""Keys that a study may have besides, and how often it has each."""
EDITS: tuple[Callable[[Text], Text], ...] = (
    lambda text: text | {"recipe.epochs": "40"},
    lambda text: text | {"recipe.lr": "2e-2"},
    lambda text: text | {"seeds": str(int(text["seeds"]) + 2)},
    lambda text: text | {"axes": ""},
    lambda text: text | {"axes": text["axes"].replace("2, 4", "2, 3, 4")},
    lambda text: text | {"axes": text["axes"].replace("1, 2, 4", "2, 4")},
    lambda text: {k: v for k, v in text.items() if k not in ("arms", "controls")},
    lambda text: {k: v for k, v in text.items() if k not in ("controls", "contrasts")},
    lambda text: text | {"axes": LOOPS, "arms": "{axis: stages.*.loops, reference: 2}"},
    lambda text: text | {"contrasts": "[{axis: stages.*.loops, of: 2, against: 1}]"},
    lambda text: text | {"controls": "[iso_macs]"},
    lambda text: text | {"confirm": "{seeds: 2}"},
    lambda text: text | {"budget": "{params: {max: 12_000}}"},
)
"""Edits of a study file before it runs again; one that makes no study is left out."""

REACHED: dict[str, Callable[[np.random.Generator, TrialRecord, float, float], float]] = {
    "equal": lambda rng, entry, own, seed: 0.9,
    "perfect": lambda rng, entry, own, seed: 1.0,
    "chance": lambda rng, entry, own, seed: 0.1,
    "none": lambda rng, entry, own, seed: 0.0,
    "near 1": lambda rng, entry, own, seed: 1.0 if rng.random() < 0.8 else 0.99,
    "usual": lambda rng, entry, own, seed: 0.9 + 0.02 * own + 0.01 * seed + 0.005 * rng.normal(),
    "wild": lambda rng, entry, own, seed: 0.6 + 0.2 * own + 0.2 * seed + 0.2 * rng.normal(),
    "of candidates alone": lambda rng, entry, own, seed: 0.9 + 0.03 * own,
    "of seeds alone": lambda rng, entry, own, seed: 0.9 + 0.03 * seed,
    "a law": lambda rng, entry, own, seed: (
        1 - 8 * (entry.cost["params"] * entry.cost["executions"] ** 0.5) ** -0.5 + 0.002 * seed
    ),
    "anything": lambda rng, entry, own, seed: rng.random(),
}
"""How accurate a trial is, of normal numbers of its candidate and of its seed."""
LOSSES: dict[str, Callable[[np.random.Generator, float], float]] = {
    "usual": lambda rng, accuracy: 0.05 + 2.5 * (1 - accuracy) * math.exp(0.02 * rng.normal()),
    "as accurate": lambda rng, accuracy: 1 - accuracy,
    "equal": lambda rng, accuracy: 0.3,
    "tiny": lambda rng, accuracy: 1e-300,
    "huge": lambda rng, accuracy: 1e300,
    "some nan": lambda rng, accuracy: math.nan if rng.random() < 0.3 else 0.3,
    "inf": lambda rng, accuracy: math.inf,
}
_ENDS = {
    "complete": (1, 0, 0, 0), "most": (0.9, 0.04, 0.03, 0.03), "half": (0.5, 0.2, 0.2, 0.1),
    "nothing": (0, 0.5, 0.3, 0.2), "diverged": (0, 1, 0, 0), "failed": (0, 0, 1, 0),
}  # fmt: skip
"""How likely a trial is complete, diverged, failed, or running."""
_REACHED_OFTEN = [*REACHED, *["a law", "usual"] * 3]
_LOSSES_OFTEN = [*LOSSES, *["usual", "as accurate", "equal"] * 4]
_OFTEN = ["complete"] * 6 + ["most"] * 5 + ["half"] * 2 + ["nothing", "diverged", "failed"]


@dataclass(frozen=True)
class Made:
    """A page, and in words what was drawn for it."""

    number: int
    about: str
    results: Results


def _with_sizes(description: StudyDescription, sizes: list[int]) -> StudyDescription:
    """The same description of a study whose parts have these numbers of images."""
    return description.changed(data={**description.data.plain, "sizes": sizes})


def texts(text: Text) -> tuple[str, str]:
    """The space file and the study file."""
    axes = "".join(f"  {line}\n" for line in text["axes"].splitlines())
    space = text.get("architecture", _ARCHITECTURE) + (f"axes:\n{axes}" if axes else "axes: {}\n")
    if "budget" in text:
        space += f"budget: {text['budget']}\n"
    recipe = _RECIPE | {k[7:]: v for k, v in text.items() if k.startswith("recipe.")}
    search = text.get("search", "{sampler: grid, seeds: SEEDS}").replace("SEEDS", text["seeds"])
    if "random" in search:
        trials = int(re.findall(r"trials: (\d+)", search)[0])
        search = search.replace(f"trials: {trials}", f"trials: {trials * int(text['seeds'])}")
    lines = {
        "study": "fuzzed", "space": "space.yaml", "search": search,
        "recipe": f"{{{', '.join(f'{k}: {v}' for k, v in recipe.items())}}}",
    }  # fmt: skip
    kept = ("data", "objectives", "arms", "controls", "contrasts", "confirm", "scheduler", "report")
    lines |= {key: text[key] for key in kept if key in text}
    return space, "".join(f"{key}: {value}\n" for key, value in lines.items())


@cache
def described(space: str, study: str) -> Described | None:
    """The study of two texts; None where they are none."""
    try:
        return Described.of(space, study)
    except Exception:  # noqa: BLE001  an edit, or an option, that this study cannot have
        return None


@cache
def begun(space: str, study: str) -> list[TrialRecord]:
    """The trials that a study asks for whatever they come to: those of its first phase, and twins."""
    known = described(space, study)
    assert known is not None
    found = known.run(lambda _: complete(0.9, 0.9, latency_ms=1.0))
    for entry in found:
        entry.job  # noqa: B018  parsed once, for all pages
    return found


class Draw:
    """Everything that is drawn for one page."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.rng = np.random.default_rng([SEED, number])
        self.about: list[str] = []

    def page(self) -> Made:
        first = self._study()
        self.reached, self.losses, self.ends = (
            self._one(kinds) for kinds in (_REACHED_OFTEN, _LOSSES_OFTEN, _OFTEN)
        )
        self.own: dict[str, float] = defaultdict(self.rng.normal)
        self.seeds: dict[int, float] = defaultdict(self.rng.normal)
        self.images = int(self._one([0, 0, 0, 0, 1, 2, 30]))
        self.epochs = int(self._one([0, 0, 1, 4]))
        self.knows = float(self._one([0, 1, 1, 0.8]))
        self.right: dict[int, dict[str, np.ndarray]] = {}
        runs = [first]
        while self.rng.random() < 0.2 and len(runs) < 3:
            edited = self._edited(runs[-1])
            if edited is None:
                break
            runs.append(edited)
        entries, declarations = self._run(runs)
        last = self._described(runs[-1])
        if self.images:
            sizes = [last.study.sizes[0], self.images, self.images]
            last = replace(
                last,
                study=replace(last.study, seen=tuple(sizes)),
                description=_with_sizes(last.description, sizes),
            )
            declarations = [
                replace(each, description=_with_sizes(each.description, sizes))
                for each in declarations
            ]
        if self.number % _MANY_EVERY == _MANY_EVERY - 1 and entries:
            entries = self._many(entries)
        results = last.results(entries, self.right, declarations)
        if self.rng.random() < 0.1 and (now := self._edited(runs[-1])) is not None:
            about = compatibility.differences(self._described(now).study, last.description)
            results = replace(results, edited=about)
        return Made(self.number, ", ".join(self.about), results)

    def _one(self, of: list[Any]) -> Any:
        chosen = of[int(self.rng.integers(len(of)))]
        self.about.append(str(chosen))
        return chosen

    def _described(self, text: Text) -> Described:
        found = described(*texts(text))
        assert found is not None
        return found

    def _study(self) -> Text:
        text = STUDIES[self._one([*STUDIES, "grid", "grid", "searched", "searched"])] | {
            "seeds": str(self._one([1, 1, 2, 2, 3, 5]))
        }
        for often, more in OPTIONS:
            if self.rng.random() < often and described(*texts(text | more)) is not None:
                text = text | more
                self.about.append(json.dumps(more))
        return text

    def _edited(self, text: Text) -> Text | None:
        place = int(self.rng.integers(len(EDITS)))
        found = EDITS[place](text)
        if found == text or described(*texts(found)) is None:
            return None
        self.about.append(f"edit {place}")
        return found

    def _run(self, runs: list[Text]) -> tuple[list[TrialRecord], list[Declaration]]:
        """The trials of all runs, of which each stops somewhere, and what they declared."""
        entries: list[TrialRecord] = []
        declarations: list[Declaration] = []
        for place, text in enumerate(runs):
            own = self._described(text)
            over = sum(not entry.open for entry in entries)
            before = None if place else (0, 0)
            declarations.append(Declaration(own.description, "", *(before or (len(entries), over))))
            adapts = bool({"confirm", "scheduler"} & text.keys()) or "lr:" in text.get("arms", "")
            if place == 0:
                plain = {key: v for key, v in text.items() if key != "confirm"}
                known = begun(*texts(plain)) if "lr:" not in text.get("arms", "") else []
                if "frontier" in text.get("search", ""):
                    known = []
                most = len(known)
                if self.rng.random() < 0.3:
                    most = int(self.rng.integers(len(known) + 1))
                    self.about.append(f"{most} trials")
                entries = [self._ended(replace_open(entry)) for entry in known[:most]]
                if most < len(known) or (known and not adapts):
                    continue
            if any(entry.open for entry in entries):
                continue
            most = len(entries) + int(self._one([0, 5, 300, 300]))
            entries = list(own.run(self._outcome, most, entries, place))
        if entries and self.rng.random() < 0.05:
            entries.append(self._branch(entries))
        return entries, declarations

    def _ended(self, entry: TrialRecord) -> TrialRecord:
        outcome = self._outcome(entry)
        if outcome.state == "running":
            if self.rng.random() < 0.5:
                entry = entry.at_rung(1, _AT_RUNG)
            return entry
        if outcome.state == "stopped":
            entry = entry.at_rung(1, _AT_RUNG)
            outcome = entry.stopped
        return ended(entry, outcome)

    def _outcome(self, entry: TrialRecord) -> TrialResult:
        states = ("complete", "diverged", "failed", "running")
        state = str(self.rng.choice(states, p=_ENDS[self.ends]))
        scheduled = self.study_of(entry)
        if state == "complete" and scheduled and self.rng.random() < 0.6:
            return entry.at_rung(1, _AT_RUNG).stopped
        if state == "diverged":
            reason = "the loss became nan"
            return TrialResult("diverged", reason=reason, environment=ENVIRONMENT)
        if state == "failed":
            return failed("error", "lost")
        if state == "running":
            return TrialResult()
        own, seed = self.own[entry.candidate], self.seeds[entry.seed]
        images = self.images or 359
        known: dict[str, np.ndarray] = {}

        def reached(name: str | None = None) -> float:
            share = min(max(REACHED[self.reached](self.rng, entry, own, seed), 0.0), 1.0)
            right = np.arange(images) < round(share * images)
            if name is not None:
                known[name] = self.rng.permutation(right)
            return float(right.mean())

        val, test = reached(), reached("test")
        reruns = tuple(
            RerunResult(a.executions, reached(), 0.3, reached(f"rerun-{i}"))
            for i, a in enumerate(entry.job.reruns)
        )
        if self.rng.random() < self.knows:
            self.right[entry.number] = known
        history = tuple(
            EpochMetrics(
                epoch=e, step=20 * e, train_loss=2.0 / e, val_loss=2.0 / e,
                val_accuracy=val * e / 4, seconds=1.0 * e,
            )
            for e in range(1, self.epochs + 1)
        )  # fmt: skip
        return complete(
            val, test, LOSSES[self.losses](self.rng, val), reruns=reruns, history=history,
            latency_ms=1.0 + abs(own), epochs=float(entry.job.recipe.length),
            environment=ENVIRONMENT,
        )  # fmt: skip

    def study_of(self, entry: TrialRecord) -> bool:
        """Whether a trial is under a scheduler."""
        return "rungs" in self.about and entry.role == "search"

    def _branch(self, entries: list[TrialRecord]) -> TrialRecord:
        """A trial that goes on from another one."""
        parent = entries[0]
        job = replace(parent.job, parent=Parent(0, "made up"), reruns=())
        number = len(entries)
        entry = TrialRecord.begun(
            number, job, parent.values, parent.images, parent.origin, declared=0
        )
        return self._ended(entry)

    def _many(self, entries: list[TrialRecord]) -> list[TrialRecord]:
        """Ten thousand candidates that are like those that there are."""
        found = []
        for number in range(_MANY):
            like = entries[number % len(entries)]
            cost = dict(like.cost) | {"params": like.cost["params"] + number}
            values = like.values | {"stages.*.mlp_ratio": number // len(entries)}
            one = replace(
                like, number=number, candidate=f"{number:08x}", values=values, cost=cost,
                result=TrialResult(),
            )  # fmt: skip
            vars(one)["job"] = like.job
            found.append(self._ended(one))
        return found


_AT_RUNG = RungResult(0.5, 1.0, 2.0)


def replace_open(entry: TrialRecord) -> TrialRecord:
    """The same trial as it began."""
    found = replace(entry, result=TrialResult())
    vars(found)["job"] = entry.job
    return found


# --- what no page may have ------------------------------------------------------------------------

_WORDS = re.compile(r"\b(nan|NaN|inf|Infinity|None(?! smaller| of)|NaT)\b")
_PERCENT = re.compile(r"(-?[\d.]+) % on (?:test|validation)")
_NUMBERS = (
    answer, arms, confirmed, contrasts, depths, elastics, pairs, scaling, tuned,
)  # fmt: skip
"""Analyses whose numbers are looked through, besides the summary."""
_ACCURACIES = {
    "accuracy", "val", "test", "val_accuracy", "test_accuracy", "rerun_val", "rerun_test", "back_val",
    "back_test", "alone", "chosen", "of_accuracy", "against_accuracy", "twin_accuracy",
}  # fmt: skip


def check(results: Results, *, rendered: bool = True, with_charts: bool = True) -> None:
    """Make what a page is made of, and look through it.

    Args:
        rendered: make the page too; with_charts: with its charts.

    Raises:
        AssertionError: it has what no page may have.
    """
    made, footer = analyses(results), summary.footer(results)
    charts = [chart for analysis in made for chart in analysis.charts]
    said = sentences(results, made)
    said += [text for block in blocks(made) for text in block.texts]
    for sentence in said:
        kind_of(sentence)
    for text in (*said, *notices(results), footer, *(summary.footer(results, c) for c in charts)):
        assert not _WORDS.search(text), text
        for number in _PERCENT.findall(text):
            assert 0 <= float(number) <= 100, text
    members = results.once(front.front)
    for text in (
        members.latex(footer),
        members.markdown(footer),
        *(c.title + c.caption for c in charts),
    ):
        assert not _WORDS.search(text), text
    facts = summary.summarise(results, made)
    text = write._json(facts)
    for path, value in (
        *_walk(json.loads(text), "summary"),
        *(part for numbers in _NUMBERS for part in _parts(results.once(numbers), numbers.__name__)),
    ):
        _look(path, value)
    for chart in charts:
        _look_at(chart)
    write._csv(results.table)
    if rendered:
        page = write._page(results, made, charts if with_charts else [], facts)
        visible = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", page, flags=re.S)
        assert not (word := re.search(r".{30}\b(nan|None(?! smaller| of))\b.{30}", visible)), word
    json.loads(text, parse_constant=_refused)


def _refused(constant: str) -> None:
    raise AssertionError(f"summary.json has {constant}")


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every part of plain data, with its keys."""
    yield path, value
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _walk(part, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _walk(part, path)


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every field of dataclasses within each other."""
    yield path, value
    if is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            if one.name not in ("found", "drawn", "trained", "grids", "spread"):
                yield from _parts(getattr(value, one.name), f"{path}.{one.name}")
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _parts(part, path)


def _look(path: str, value: Any) -> None:
    name = path.rpartition(".")[2]
    if isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys():
        value = Estimate(value["value"], value["low"], value["high"])
    if isinstance(value, Estimate):
        known = [end for end in (value.low, value.value, value.high) if end is not None]
        assert all(map(math.isfinite, known)) and known == sorted(known), f"{path}: {value}"
    if name.endswith("interval") and isinstance(value, list | tuple) and "executions" not in path:
        low, high = value
        assert math.isfinite(low) and math.isfinite(high) and low <= high, f"{path}: {value}"
    if name in _ACCURACIES and isinstance(value, float):
        assert 0 <= value <= 1, f"{path}: {value}"


def _look_at(chart: Chart) -> None:
    for panel in chart.panels:
        for axis in (panel.x, panel.y):
            if axis.range is not None:
                assert all(map(math.isfinite, axis.range)), f"{chart.name}: {axis}"
        for series in panel.series:
            for low, high in ((series.low, series.high), (series.left, series.right)):
                if low is not None and high is not None:
                    below, above = np.asarray(low, float), np.asarray(high, float)
                    assert not (below > above + 1e-9).any(), f"{chart.name}: {series.name}"
            for values in (series.x, series.y, series.low, series.high):
                if values is not None:
                    assert not np.isinf(np.asarray(values, float)).any(), (
                        f"{chart.name}: {series.name}"
                    )


@dataclass
class Faults:
    """The faults of many pages, by where they are; of each the pages that have it."""

    pages: dict[str, list[int]]
    about: dict[str, str]

    def add(self, number: int, about: str, error: BaseException) -> None:
        own = [f for f in traceback.extract_tb(error.__traceback__) if "sret_search" in f.filename]
        last = own[-1] if own else traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rpartition('sret_search/')[2]} in {last.name}"
        text = re.sub(r"-?\d[\d.,e+-]*", "#", str(error))[:160]
        key = f"{where}: {type(error).__name__}: {text}"
        self.pages.setdefault(key, []).append(number)
        self.about.setdefault(key, about)


def fuzz(numbers: range | list[int]) -> Faults:
    """Make each page, and collect what is wrong with them."""
    share_work()
    faults = Faults({}, {})
    for number in numbers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of samplers: the page alone is looked at
            made = Draw(number).page()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                with_charts = number % _CHARTS == 0
                rendered = with_charts or number % _PAGE == 0
                check(made.results, rendered=rendered, with_charts=with_charts)
        except Exception as error:  # noqa: BLE001  whatever it is, it is a fault
            faults.add(number, made.about, error)
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first page")
    parser.add_argument("--page", type=int, help="one page alone, with its traceback")
    options = parser.parse_args()
    if options.page is not None:
        made = Draw(options.page).page()
        print(made.about)
        check(made.results)
        return
    start = time.process_time()
    faults = fuzz(range(options.first, options.first + options.pages))
    print(f"{options.pages:,} pages in {time.process_time() - start:.0f} s of one core")
    for key, pages in sorted(faults.pages.items(), key=lambda each: -len(each[1])):
        print(f"{len(pages):,} pages, {pages[:5]}: {key}\n    {faults.about[key]}")
    if faults.pages:
        raise SystemExit(f"{len(faults.pages)} kinds of faults")


if __name__ == "__main__":
    main()
