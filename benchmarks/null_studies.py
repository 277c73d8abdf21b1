"""How often a page claims what is not so: made-up studies in which nothing is true, by the thousand.

    OMP_NUM_THREADS=1 python benchmarks/null_studies.py           # about 12 minutes of one core
    OMP_NUM_THREADS=1 python benchmarks/null_studies.py --short   # 30 s; prints, and writes nothing

Each design is a study file whose trials are made up, read by the functions that make a page. Where
nothing is true, a claim of a kind may stand on one page in twenty, over all that the page compares.
Where an effect is true, the table has how often it is found. Intervals hold their truth in 95 %.

A training has a level, in log odds: that of its candidate, plus one of its seed, which all candidates
share, plus one of its own. Their standard deviations, in points, are those of three studies of the
digits, as an analysis of variance of candidates and seeds has them:

    accuracy    seeds, shared    own
    97 %        0.66             0.20    depth_scaling_full
    92 %        0.98             0.37    elastic
    80 %        7.2              4.1     recursion

It takes each image rightly with the probability that its level says. A part of the variance of an
image's outcome is of the image, the same for every training: a half at 92 % and more, a third at 80 %
(208 candidates of the digits, `benchmarks/tabular/`). Validation and test share levels. In one more
setting each seed has a slope of its own: its loss changes by 1 % (standard deviation) with each
doubling of executions, as in depth_scaling_full.

What intervals are for:

    accuracy, one seed            these weights, on all images
    accuracy, more seeds          the mean over all seeds, on these images; with folds on all images
    differences                   likewise; of contrasts on all images

Writes benchmarks/results/null_studies_<hardware>_<date>.json and, a row a rate, a table of that name with
_rates.csv.xz at its end, which pandas reads as it is. Ends with an error where a claim is
false on more than 5 % of pages, or an interval holds its truth in less than 93 %, by more than the
simulation may err.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import datetime
import json
import math
import re
import time
import zlib
from collections import defaultdict
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from ledgers import share_work
from null_designs import designs
from null_pages import NOISE, SEEDS, Design, Page
from scipy import special
from trial_overhead import hardware

from sret_search.reporting.analyses.contrasts import numbers
from sret_search.reporting.contents import analyses, blocks
from sret_search.reporting.sentences import sentences
from sret_search.reporting.summary import summarise

RESULTS = Path(__file__).parent / "results"
LEVEL, LEAST = 0.05, 0.93
"""The rate of false claims that pages may have; and how often an interval must hold its truth."""
_DOUBT, _DOUBT_OF_SETTING = 0.001, 1e-5
"""How often a rate that is as promised may look as if it were not: one over all settings, of which there
are hundreds, and one of a setting, of which there are thousands, some of seven pages."""
PAGES = 168
SHORT, SHORT_SEEDS = 24, (2, 5)
_FEW = 30
_WHOLE = 10
"""One page in so many is made as a whole, with all of its sentences."""
_POWER_SEEDS = 2, 3, 5, 10
_SHOWN = "92 %", (3, 5)
"""Where the table shows the power: in this setting, with these seeds."""

KINDS = {
    "nothing yet": (r"No trial is complete yet|No candidate is complete", None),
    "best": (r"Best: |Knee of the front|No smaller candidate|That is also the|Smallest within", None),
    "grounds": (r"These are means on test|Chosen among", None),
    "confirmed": (r"Trained again with|The front that was trained again", None),
    "gains": (r"At [\d, and]+ executions, training at this depth", r"(gained|lost), compared with"),
    "depths": (r"Each run at the depth of its training", r" executions are (better|worse) than"),
    "deepest": (r"The deepest arm, trained at|Compared with the reference, trained and run at", None),
    "what verdicts rest on": (r"Exploratory: one seed|Verdicts on depths hold", None),
    "depth not used": (r"Depth not used at", None),
    "law": (r"Law of recurrence: ", r""),
    "φ": (r"A loop is worth φ|What a loop is worth differs by", r""),
    "about the law": (
        r"No law of recurrence|The [\d,]+ candidates of the largest budgets|Not identifiable from"
        r"|All candidates were trained on equally many",
        None,
    ),
    "doubling": (r"Each doubling of executions changes", r": deeper is worse|; (no saturating law|these depths do not|the gain falls)"),
    "slices": (r"At equal (parameters|MACs) ", r"depths can be told apart"),
    "arms": (
        r".+ (gained against|made no measurable difference against|lost against|compared with) .+ on test, a"
        r" difference of .+ training multiply-adds|.+: .+ on validation \(reference .+\); ",
        r" (gained|lost) against ",
    ),
    "contrasts": (r"[\w.*]+ \S+ against \S+.*: ", r"\): (better|worse) \("),
    "elastic": (r"One model trained at", r": (better|worse)\b"),
    "twins": (r"[\d,]+ executions? compared with the same candidate", r": (better|worse)\b"),
    "rates": (r"All arms were trained at one|Each arm was trained at the learning rate", None),
    "stopped": (r"\w+ stopped \d+ of", None),
}  # fmt: skip
"""Kinds of sentences: how they begin; and what in them is a claim, if anything. Of a depth that is not
used, what is claimed is true where nothing is."""


@dataclass(frozen=True)
class Rate:
    """How often pages say what they should, or should not.

    Attributes:
        kind: "false", "found" or "holds", as of a claim.
        noise: the setting; "all" of every one together.
        error: standard error of the simulation; of a rate that is 0 or 1, as of one that is not.
        of: claims, or intervals, that were looked at.
    """

    claim: str
    kind: str
    design: str
    seeds: int
    points: float
    noise: str
    rate: float
    error: float
    pages: int
    of: int

    @classmethod
    def over(cls, pages: list[list[bool]], *about: str | int | float) -> Rate | None:
        """The rate over pages, whose own claims or intervals depend on each other."""
        known = [own for own in pages if own]
        if not known:
            return None
        right, of = (np.array([f(own) for own in known], float) for f in (sum, len))
        rate, n = right.sum() / of.sum(), len(known)
        off = right - rate * of
        # Of a few pages their scatter says little: then a page counts as one claim.
        usual = math.sqrt(LEVEL * (1 - LEVEL) / (n if n < _FEW else of.sum()))
        error = max(math.sqrt(float(off @ off)) / float(of.sum()), usual)
        return cls(*about, float(rate), error, n, int(of.sum()))  # type: ignore[arg-type]

    @property
    def is_outside(self) -> bool:
        """Whether it is not what is promised, by more than the simulation may err."""
        doubt = _DOUBT if self.noise == "all" else _DOUBT_OF_SETTING
        if self.kind == "false":
            false = round(self.rate * self.pages)
            return bool(special.bdtrc(false - 1, self.pages, LEVEL) < doubt) if false else False
        return self.kind == "holds" and self.rate - special.ndtri(doubt) * self.error < LEAST


def kind_of(sentence: str) -> str:
    """The kind of a sentence.

    Raises:
        LookupError: there is none such: its claims would not be counted.
    """
    for kind, (begins, _) in KINDS.items():
        if re.match(begins, sentence):
            return kind
    raise LookupError(f"a sentence of no known kind: {sentence}")


def said(page: Page) -> dict[str, bool]:
    """Of each kind of sentence that may claim something, whether one on a whole page does."""
    made = analyses(page.results)
    json.dumps(summarise(page.results, made), allow_nan=False)
    found = {kind: False for kind, (_, claims) in KINDS.items() if claims is not None}
    every = sentences(page.results, made)
    every += [text for block in blocks(made) for text in block.texts]
    for sentence in every:
        kind = kind_of(sentence)
        if kind in found:
            found[kind] |= re.search(KINDS[kind][1] or "", sentence) is not None
    return found


def simulate(design: Design, seeds: int, pages: int, *, short: bool = False) -> list[Rate]:
    """The rates of a design's claims with so many seeds.

    Args:
        pages: without an effect; with each effect a third of them.
        short: leave out what is found of true effects, and all whole pages but the first.
    """
    share_work()
    simulated = design.with_seeds(seeds)
    wanted = [claim for claim in design.claims if not (short and claim.kind == "found")]
    found: dict[tuple[str, str, float, str], list[list[bool]]] = defaultdict(list)
    for points in sorted({points for claim in wanted for points in claim.points}):
        if points and seeds not in _POWER_SEEDS:
            continue
        claims = [claim for claim in wanted if points in claim.points]
        # The same studies whatever else is simulated.
        key = zlib.crc32(design.name.encode()), seeds, round(1000 * points)
        rng = np.random.default_rng(key)
        for i in range(max(pages // 3, 1) if points else pages):
            noise = design.noise[i % len(design.noise)]
            page = simulated.page(NOISE[noise], rng, points)
            turn = i // len(design.noise)
            with _unforeseen():
                for claim in claims:
                    if turn % claim.every == 0:
                        found[claim.name, claim.kind, points, noise].append(claim.says(page))
            if not points and (i == 0 if short else turn % _WHOLE == 0):
                for kind, is_claim in said(page).items():
                    # Where candidates have images of their own, they differ on these images.
                    if kind == "contrasts" or not design.of_arm:
                        found[f"sentence: {kind}", "false", points, noise].append([is_claim])
    every: dict[tuple[str, str, float, str], list[list[bool]]] = defaultdict(list)
    for (name, kind, points, noise), own in found.items():
        every[name, kind, points, "all"] += own
        every[name, kind, points, noise] += own
    rates = [
        Rate.over(own, name, kind, design.name, seeds, points, noise)
        for (name, kind, points, noise), own in every.items()
    ]
    return [rate for rate in rates if rate is not None]


def _unforeseen() -> AbstractContextManager[Any]:
    """Contrasts do not say what it takes to see a difference, which takes most of their time."""
    return mock.patch.multiple(
        numbers, detectable=lambda *_: math.nan, seeds_needed=lambda *_: None
    )


def table(rates: list[Rate]) -> str:
    """The rates as a Markdown table, in % with the standard errors of the simulation."""
    names = dict.fromkeys(
        (r.claim, r.kind)
        for r in rates
        if r.kind == "holds" or (r.kind == "false" and (r.rate or "sentence" not in r.claim))
    )
    lines = [
        f"| claim | promised | 1 seed | {' | '.join(f'{n} seeds' for n in SEEDS[1:])} |"
        f" found at {_SHOWN[0]} right, of 1, 2, 5 points |",
        f"|---|---|{'--:|' * len(SEEDS)}---|",
    ]
    for name, kind in names:
        cells = []
        for seeds in SEEDS:
            own = [r for r in rates if (r.claim, r.kind, r.seeds) == (name, kind, seeds)]
            pooled = [r for r in own if r.noise == "all"]
            worst = max(pooled, key=lambda r: r.rate if kind == "false" else -r.rate, default=None)
            cells.append(
                "" if worst is None else f"{100 * worst.rate:.1f} ± {100 * worst.error:.1f}"
            )
        power = []
        for seeds in _SHOWN[1]:
            own = [
                r for r in rates
                if (r.claim, r.kind, r.seeds, r.noise) == (name, "found", seeds, _SHOWN[0])
            ]  # fmt: skip
            shown = ", ".join(f"{100 * r.rate:.0f}" for r in sorted(own, key=lambda r: r.points))
            power += (
                [f"{seeds} seeds: {shown}{'' if own[0].points else ' (of none)'}"] if own else []
            )
        promised = "≤ 5" if kind == "false" else "95"
        lines.append(f"| {name} | {promised} | {' | '.join(cells)} | {'; '.join(power)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=PAGES, help=f"of a design ({PAGES})")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--design", action="append", help="prints, and writes nothing")
    parser.add_argument("--short", action="store_true", help="as the test does; writes nothing")
    options = parser.parse_args()
    pages, seeds = (SHORT, SHORT_SEEDS) if options.short else (options.pages, options.seeds)
    rates: list[Rate] = []
    seconds: dict[str, float] = {}
    for design in designs():
        if design.name not in (options.design or [design.name]) or (options.short and design.long):
            continue
        start = time.process_time()
        for number in design.seeds:
            if number in seeds:
                rates += simulate(design, number, pages * design.pages // 100, short=options.short)
        seconds[design.name] = round(time.process_time() - start, 1)
        print(f"{design.name}: {seconds[design.name]} s", flush=True)
    print(table(rates))
    wrong = [rate for rate in rates if rate.is_outside]
    if not options.short and options.design is None:
        today = datetime.date.today().strftime("%Y%m%d")
        written = {
            "pages": pages, "core_seconds": seconds, "cpus": os.cpu_count(),
            "outside": [asdict(rate) for rate in wrong],
        }  # fmt: skip
        path = RESULTS / f"null_studies_{hardware()}_{today}.json"
        path.write_text(json.dumps(written, indent=1) + "\n")
        rows = pd.DataFrame([asdict(rate) for rate in rates])
        rows.to_csv(path.with_name(f"{path.stem}_rates.csv.xz"), index=False, float_format="%.6g")
    if wrong:
        raise SystemExit("\n".join(["not as promised:", *map(str, wrong)]))


if __name__ == "__main__":
    main()
