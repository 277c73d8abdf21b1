"""Claims of pages, and the studies whose pages make them, for `null_studies.py`."""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from null_pages import Claim, Design, Network, Page, Says

from sret_search.reporting.analyses.scaling.sentences import headlines
from sret_search.reporting.recommendation import Recommended
from sret_search.reporting.statistics.intervals import Interval
from sret_search.trials.trial import TrialRecord

EFFECTS = 0.01, 0.02, 0.05


def holds(interval: Interval | None, truth: float) -> list[bool]:
    """Whether an interval has the truth; a bound that is the truth but for rounding has it."""
    if interval is None:
        return []
    return [bool(interval[0] - 1e-9 <= truth <= interval[1] + 1e-9)]


def _signs(kind: str) -> Says:
    """Whether a page has a verdict among its comparisons of a kind: with one seed it has none."""
    return lambda page: [any(_SIGNS[kind](page))]


_SIGNS: dict[str, Callable[[Page], list[int | None]]] = {
    "contrasts": lambda page: [one.tested.sign for one in page.contrasts],
    "gains": lambda page: [one.gain.sign for one in page.depths],
    "depths": lambda page: [one.difference.sign for one in page.depths],
    "depths and gains": lambda page: [
        sign for one in page.depths for sign in (one.gain.sign, one.difference.sign)
    ],
    "arms": lambda page: [one.difference.sign for one in page.arms],
    "twins": lambda page: [one.difference.sign for one in page.pairs],
    "gaps": lambda page: [
        rung.gap.sign
        for one in page.elastics
        for rung in (*one.rungs, *([] if one.rival is None else [one.rival]))
    ],
}


def _finds(kind: str, place: int, sign: int) -> Says:
    """Whether the comparison at a place is told, in the right direction."""
    return lambda page: [_SIGNS[kind](page)[place] == sign]


def _entries(page: Page, name: str, role: str | None = None) -> list[int]:
    return [
        e.number for e in page.results.entries if e.candidate == name and role in (None, e.role)
    ]


def _depth_accuracies(page: Page) -> list[bool]:
    found = []
    of = {e.job.architecture.executions: e.number for e in page.results.complete}
    for one in page.depths:
        found += holds(one.val_interval, page.truth(of[one.executions], None, "val"))
        found += holds(one.test_interval, page.truth(of[one.executions], None, "test"))
    return found


def _depth_differences(page: Page) -> list[bool]:
    found = []
    of = {e.job.architecture.executions: e for e in page.results.complete}
    (reference,) = [of[one.executions] for one in page.depths if one.is_reference]
    reruns = {a.executions: i for i, a in enumerate(reference.job.reruns)}
    for one in page.depths:
        if not one.is_reference:
            own = page.truth(of[one.executions].number, None, "test")
            there = page.truth(reference.number, reruns[one.executions], "test")
            here = page.truth(reference.number, None, "test")
            found += holds(one.gain.interval, own - there)
            found += holds(one.difference.interval, own - here)
    return found


def _twin_differences(page: Page) -> list[bool]:
    found = []
    first = {e.candidate: e.number for e in reversed(page.results.entries)}
    for one in page.pairs:
        own, other = (page.truth(first[n], None, one.part) for n in (one.candidate, one.twin))
        found += holds(one.difference.interval, own - other)
    return found


def _arm_differences(page: Page) -> list[bool]:
    of = {str(e.values.get("nll.share")): e.number for e in page.results.complete}
    (reference,) = [one.name for one in page.arms if one.is_reference]
    there = page.truth(of[reference], None, "test")
    return [
        held
        for one in page.arms
        for held in holds(one.difference.interval, page.truth(of[one.name], None, "test") - there)
    ]


def _elastic_gaps(page: Page) -> list[bool]:
    # Where nothing is true, every difference over seeds is 0.
    gaps = [rung.gap for one in page.elastics for rung in one.rungs]
    return [held for gap in gaps if gap.seeds > 1 for held in holds(gap.interval, 0.0)]


def _elastic_accuracies(page: Page) -> list[bool]:
    return [
        held
        for one in page.elastics
        for i, rung in enumerate(one.rungs)
        for held in holds(
            rung.interval,
            page.truth(
                _entries(page, one.candidate)[0], i if i < len(one.rungs) - 1 else None, one.part
            ),
        )
    ]


def _contrast_intervals(over: str) -> Says:
    def held(page: Page) -> list[bool]:
        known = [one.over_seeds if over == "seeds" else one.over_both for one in page.contrasts]
        return [held for one in known if one is not None for held in holds(one.interval, 0.0)]

    return held


def _choice(page: Page, choice: Recommended, part: str) -> list[bool]:
    role = "confirmation" if page.answer.is_confirmed else "search"
    number = _entries(page, choice.candidate, role)[0]
    if choice.part == part:
        return holds(choice.interval, page.truth(number, None, part))
    if part == "test":
        return holds(choice.test_interval, page.truth(number, None, part))
    return []


def _best(part: str) -> Says:
    return lambda page: _choice(page, page.answer.best, part)


def _others(part: str) -> Says:
    return lambda page: [
        held
        for name, choice in page.answer.choices.items()
        if name != "best" and choice.candidate != page.answer.best.candidate
        for held in _choice(page, choice, part)
    ]


def _behind(page: Page) -> list[bool]:
    several = [c for c in page.answer.choices.values() if c.behind_interval is not None]
    return [held for choice in several for held in holds(choice.behind_interval, 0.0)]


def _confirmed_intervals(page: Page) -> list[bool]:
    return [
        held
        for one in page.confirmed
        for held in holds(
            one.test_interval,
            page.truth(_entries(page, one.candidate, "confirmation")[0], None, "test"),
        )
    ]


def _candidate_intervals(page: Page) -> list[bool]:
    """Intervals as the table of the front has them, for every candidate."""
    spread, found = page.results.spreads["val"], []
    values: dict[str, list[float]] = defaultdict(list)
    numbers: dict[str, int] = {}
    for entry in page.results.complete:
        values[entry.candidate].append(entry.result.accuracy("val"))
        numbers.setdefault(entry.candidate, entry.number)
    for name, own in values.items():
        found += holds(spread.interval(own, name), page.truth(numbers[name], None, "val"))
    return found


def _told_apart(page: Page) -> list[bool]:
    return [any(not one.is_open for one in page.slices)]


def _best_depths(page: Page) -> list[bool]:
    """Whether a depth may be the best one, of each depth of each slice: all of them are."""
    return [depth.may_be_best for one in page.slices for depth in one.depths]


def _doubling(measure: str) -> Says:
    def says(page: Page) -> list[bool]:
        own = [one.doubling for one in page.scaling.saturations if one.measure == measure]
        return [any((one.low or 0) > 0 or (one.high or 0) < 0 for one in own)]

    return says


def _law(page: Page) -> list[bool]:
    return [page.scaling.recurrence is not None]


def _phi(page: Page) -> list[bool]:
    return [any("φ" in sentence for sentence in headlines(page.scaling))]


def _saturates(page: Page) -> list[bool]:
    return [any(one.beta is not None for one in page.scaling.saturations)]


def _stands_out(page: Page) -> list[bool]:
    found = page.importances
    return [] if found is None else [any(one.stands_out for one in found.axes)]


def _unused(page: Page) -> list[bool]:
    return [any(one.is_unused for one in page.depths)]


_SMALL = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages:
    - {width: 16, heads: 1, unique: 2, loops: 2, groups: [1], mlp_ratio: 2}
  nll: {share: none}
  residual: {kind: scaled, lam: 1, p: 0.5, q: 0.5}
axes:
"""
_STUDY = """\
study: nothing
space: space.yaml
data: {name: digits, val: 0.2, test: 0.2}
recipe: {epochs: 4, warmup: 1, batch_size: 64, lr: 5e-3}
objectives: {accuracy: max, params: min, macs: min}
"""
_GRID = _STUDY + "search: {sampler: grid, seeds: SEEDS}\n"
_RATIO, _LOOPS, _SHARE = "stages.*.mlp_ratio", "stages.*.loops", "nll.share"


def _axes(**choices: Sequence[Any]) -> str:
    names = {"ratio": _RATIO, "loops": _LOOPS, "share": _SHARE, "width": "stages.*.width"}
    return _SMALL + "".join(
        f"  {names[name]}: {{choices: {json.dumps(list(values))}}}\n"
        for name, values in choices.items()
    )


def _contrasted(
    number: int, ratios: Sequence[float], pairs_of: Iterable[Any], **more: Any
) -> Design:
    declared = ", ".join(f"{{axis: {_RATIO}, of: {a}, against: {b}}}" for a, b in pairs_of)
    name = f"{number} contrast{'s' if number > 1 else ''}"
    # With images of their own two candidates differ on these images, and not over all.
    of_arm = 0.1 if number < 6 else 0.0
    over = "seeds and images" if of_arm else "seeds"
    return Design(
        name=name,
        space=_axes(ratio=ratios, **more),
        study=f"{_GRID}contrasts: [{declared}]\n",
        claims=(
            Claim(f"better/worse, {name}", "false", _signs("contrasts")),
            Claim(f"better/worse, {name}", "found", _finds("contrasts", 0, -1), EFFECTS),
            Claim(f"contrast over {over}, interval", "holds", _contrast_intervals(over)),
        ),
        worse=lambda entry, _: entry.values[_RATIO] == ratios[1],
        of_arm=of_arm,
        pages={1: 200, 4: 100, 6: 100, 10: 30}[number],
        long=number == 10,
    )


_FIVE = [1, 1.5, 2, 3, 4]
_DEPTHS = [1, 2, 4, 8, 16, 32, 64, 128]
_DEPTH_SETTINGS = ("97 %", "92 %", "80 %", "97 %, slopes")


def _of_depth(name: str, claims: tuple[Claim, ...], worse: Any, pages: int) -> Design:
    return Design(
        name=name,
        space=_axes(loops=_DEPTHS),
        study=f"{_GRID}arms: {{axis: {_LOOPS}, reference: 4}}\ncontrols: [rerun]\n",
        claims=claims,
        worse=worse,
        noise=_DEPTH_SETTINGS,
        pages=pages,
    )


def _confirmation(members: int, on: str) -> Design:
    ratios = [round(1 + 0.1 * i, 1) for i in range(members)]
    part = "test" if on == "train+val" else "val"
    name = f"best of {members} confirmed on {on}, {'test' if part == 'test' else 'validation'}"
    claims = [Claim(name, "holds", _best(part))]
    if part == "val":
        claims.append(Claim(f"best of {members} confirmed on {on}, test", "holds", _best("test")))
    claims += [
        Claim("knee and smallest of the confirmed", "holds", _others(part)),
        Claim("members that are confirmed, each", "holds", _confirmed_intervals),
        Claim("behind the best", "holds", _behind),
    ]
    return Design(
        name=f"{members} members, {on}",
        space=_axes(ratio=ratios),
        study=_STUDY
        + f"search: {{sampler: grid, seeds: 1}}\nconfirm: {{seeds: SEEDS, on: {on}}}\n",
        claims=tuple(claims),
        on_front=True,
        seeds=(2, 5),
        pages=50,
        long=members == 10,
    )


def _searched(name: str, space: str, search: str, folds: bool = False, **more: Any) -> Design:
    study = _STUDY.replace("val: 0.2, test: 0.2", "folds: 5") if folds else _STUDY
    return Design(
        name=name,
        space=space,
        study=study + f"search: {search}\n",
        parts=("val",),
        **more,
    )


_FRONTIER = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem: patch
  stem_strides: [4]
  stages:
    - {width: 16, heads: 1, unique: 1, loops: 1, groups: [1], mlp_ratio: 2}
  nll: {share: none}
  residual: {kind: scaled, lam: 1, p: 0.5, q: 0.5}
axes:
  stages.*.width: {choices: [8, 12, 16, 20, 24, 32, 40, 48]}
  stages.*.unique: {choices: [1, 2, 3, 4]}
  stages.*.loops: {choices: [1, 2, 4, 8, 16]}
  stages.*.mlp_ratio: {choices: [1, 2, 4]}
  nll.share: {choices: [none, block, execution]}
  residual.kind: {choices: [scaled, lrc]}
  residual.p: {choices: [0, 0.5, 1], when: {residual.kind: [scaled]}}
  residual.q: {same_as: residual.p}
  recipe.lr: {choices: [5e-3, 1e-2, 2e-2]}
budget:
  executions: {max: 32}
  params: {max: 50_000}
"""
_ELASTIC = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages:
    - {width: 32, heads: 1, unique: 2, loops: 8, groups: [1], mlp_ratio: 2}
  nll: {share: none}
  residual: {kind: scaled, lam: 1, p: 1, q: 0.5}
axes:
  recipe.depth_training: {choices: [fixed, sandwich]}
  stages.*.loops: {choices: [1, 2, 3, 4, 5, 6, 7, 8], when: {recipe.depth_training: [fixed]}}
"""


def _laws(among: str, every: int) -> list[Claim]:
    says = {
        "law of recurrence": _law,
        "φ as a headline": _phi,
        "doubling changes accuracy": _doubling("accuracy"),
        "doubling changes loss": _doubling("loss"),
        "saturating law": _saturates,
    }
    return [Claim(f"{name}, {among}", "false", own, every=every) for name, own in says.items()]


def _deepest(_: TrialRecord, network: Network) -> bool:
    return network.executions == 2 * _DEPTHS[-1]


def designs() -> list[Design]:
    """Every kind of study, as far as its pages have claims of their own."""
    found = [
        _contrasted(1, [1, 2], [(2, 1)], loops=[1, 2, 4]),
        _contrasted(4, _FIVE, [(other, 1) for other in _FIVE[1:]], loops=[1, 2]),
        _contrasted(
            6, [1, 2, 3, 4], [pair[::-1] for pair in itertools.combinations([1, 2, 3, 4], 2)],
            loops=[1, 2, 4], width=[16, 32],
        ),
        _contrasted(
            10, _FIVE, [pair[::-1] for pair in itertools.combinations(_FIVE, 2)],
            loops=[1, 2, 4], width=[16, 32], share=["none", "block"],
        ),
    ]  # fmt: skip
    found += [
        _of_depth(
            "7 depths",
            (
                Claim("gained/lost, 7 depths", "false", _signs("gains")),
                Claim("gained/lost, 7 depths", "found", _finds("gains", -1, 1), EFFECTS),
                Claim("better/worse, 7 depths", "false", _signs("depths")),
                Claim("either, 7 depths", "false", _signs("depths and gains")),
                Claim("depth not used", "found", _unused),
                Claim("depths told apart, 8 depths", "false", _told_apart),
                Claim("accuracy of a depth", "holds", _depth_accuracies),
                Claim("difference of a depth", "holds", _depth_differences),
                *_laws("8 depths", 3),
            ),
            lambda entry, n: _deepest(entry, n) and n.rerun is not None,
            150,
        ),
        _of_depth(
            "7 depths, the deepest worse",
            (Claim("better/worse, 7 depths", "found", _finds("depths", -1, -1), EFFECTS),),
            lambda entry, n: _deepest(entry, n) and n.rerun is None,
            100,
        ),
        _of_depth(
            "7 depths that all gain",
            (Claim("depth not used", "false", _unused, EFFECTS),),
            lambda entry, n: n.rerun is not None and entry.values[_LOOPS] == 4,
            200,
        ),
        Design(
            name="4 arms",
            space=_axes(share=["none", "block", "stage", "execution"]),
            study=f"{_GRID}arms: {{axis: {_SHARE}, reference: none}}\n",
            claims=(
                Claim("gained/lost, 3 arms", "false", _signs("arms")),
                Claim(
                    "gained/lost, 3 arms",
                    "found",
                    lambda page: [1 in _SIGNS["arms"](page)],
                    EFFECTS,
                ),
                Claim("difference of an arm", "holds", _arm_differences),
            ),
            worse=lambda entry, _: entry.values[_SHARE] == "none",
            pages=200,
        ),
        Design(
            name="twins of 4 depths",
            space=_axes(loops=[1, 2, 4, 8]),
            study=f"{_GRID}arms: {{axis: {_LOOPS}, reference: 1}}\n"
            "controls: [unshared, iso_params, iso_macs]\n",
            claims=(
                Claim("better/worse, 9 twins", "false", _signs("twins")),
                Claim("better/worse, 9 twins", "found", _finds("twins", -1, -1), EFFECTS),
                Claim("difference to a twin", "holds", _twin_differences),
            ),
            worse=lambda entry, _: entry.role == "search" and entry.values[_LOOPS] == 8,
            pages=100,
        ),
        Design(
            name="elastic",
            space=_ELASTIC,
            study=_GRID.replace("val: 0.2, test: 0.2", "folds: 5")
            + "arms: {axis: recipe.depth_training, reference: fixed}\n",
            claims=(
                Claim("elastic gaps, 8 depths", "false", _signs("gaps")),
                Claim("elastic gaps, 8 depths", "found", _finds("gaps", 0, -1), EFFECTS),
                Claim("elastic gap, interval", "holds", _elastic_gaps),
                Claim("accuracy of an elastic depth", "holds", _elastic_accuracies),
            ),
            worse=lambda entry, n: (
                n.executions == 2 and entry.job.recipe.depth_training.kind == "sandwich"
            ),
            pages=60,
        ),
        _searched(
            "search of 60",
            _FRONTIER,
            "{sampler: random, trials: TRIALS, seeds: SEEDS}",
            claims=(
                Claim("depths told apart, 60 candidates", "false", _told_apart),
                Claim("depths told apart, 60 candidates", "found", _told_apart, EFFECTS),
                Claim("each depth may be best", "holds", _best_depths),
                *_laws("60 candidates", 3),
                Claim("importances: an axis stands out", "false", _stands_out, every=4),
                Claim("importances: an axis stands out", "found", _stands_out, EFFECTS, every=6),
                Claim("best of 60, validation", "holds", _best("val")),
                Claim("knee and smallest of 60", "holds", _others("val")),
                Claim("behind the best", "holds", _behind),
                Claim("accuracy of a candidate of 60", "holds", _candidate_intervals),
            ),
            worse=lambda entry, _: entry.values[_LOOPS] > 2,
            seeds=(1, 2, 3, 5),
            pages=30,
        ),
        _searched(
            "5 families of 5 depths",
            _axes(loops=[1, 2, 4, 8, 16], width=[16, 24, 32, 40, 48]),
            "{sampler: grid, seeds: SEEDS}",
            claims=(
                *_laws("25 candidates", 1),
                Claim(
                    "doubling changes accuracy, 25 candidates",
                    "found",
                    _doubling("accuracy"),
                    EFFECTS,
                ),
                Claim("saturating law, 25 candidates", "found", _saturates, EFFECTS),
                Claim("best of 25, validation", "holds", _best("val")),
                Claim("accuracy of a candidate of 25", "holds", _candidate_intervals),
            ),
            worse=lambda entry, n: 1 - math.log2(n.executions / 2) / 4,
            noise=_DEPTH_SETTINGS,
            seeds=(1, 2, 3, 5),
            pages=50,
        ),
    ]
    for folds in (False, True):
        by = ", folds" if folds else ""
        found.append(
            _searched(
                f"6 candidates{by}",
                _axes(ratio=[1, 1.5, 2, 2.5, 3, 4]),
                "{sampler: grid, seeds: SEEDS}",
                folds,
                claims=(
                    Claim(f"best of 6, validation{by}", "holds", _best("val")),
                    Claim(f"accuracy of a candidate of 6{by}", "holds", _candidate_intervals),
                ),
                pages=100,
            )
        )
    found += [_confirmation(n, on) for n in (5, 10, 25) for on in ("train", "train+val")]
    return found
