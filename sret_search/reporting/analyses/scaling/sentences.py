"""Sentences on laws and slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sret_search.reporting.analyses.scaling.interval import Estimate
from sret_search.reporting.analyses.scaling.iso_cost import TOLERANCE, Slice
from sret_search.reporting.analyses.scaling.laws import Scaling
from sret_search.reporting.analyses.scaling.recurrence import Recurrence
from sret_search.reporting.analyses.scaling.saturation import Saturation
from sret_search.reporting.formatting import in_percent, listed, points

_VAGUE = 1.0
"""The width from which on an interval of φ says little: it spans from loops that are worth nothing
to loops that are worth as much as additional weights."""
_WITHOUT = {
    "one size": "No law of recurrence: what a loop is worth (φ) is measured in parameters, and these"
    " candidates have fewer than three sizes that differ by 5 % or more.",
    "one seed": "No law of recurrence: the candidates have only one seed in common. With one seed, its"
    " effect cannot be separated from the effects of size and loops.",
    "no dependence": "No law of recurrence: loss does not measurably fall with the parameters of these"
    " candidates.",
}
COSTS = {"params": "parameters", "macs": "MACs"}


def headlines(scaling: Scaling) -> list[str]:
    """The sentences for the top of the page."""
    law, texts = scaling.recurrence, []
    if law is not None and law.axis is not None:
        texts = [_kinds_sentence(law)]
    elif law is not None and _is_known(law.phi):
        texts = [_phi_sentence(law)]
    return texts + [
        _best_depth(slices) for slices in (scaling.params, scaling.macs) if len(slices) >= 3
    ]


def sentences(scaling: Scaling) -> list[str]:
    """All sentences on the laws, including what they cannot answer."""
    texts = []
    if scaling.recurrence is not None:
        texts += _recurrence_sentences(scaling.recurrence)
    elif scaling.without is not None:
        texts.append(_WITHOUT[scaling.without])
    texts += [_saturation_sentence(saturation) for saturation in scaling.saturations]
    return texts + [_best_depth(slices) for slices in (scaling.params, scaling.macs) if slices]


def _recurrence_sentences(law: Recurrence) -> list[str]:
    n = f"{len(law.trained):,}"
    if law.left_out:
        n += f" of {len(law.trained) + law.left_out:,}"
    a = "" if law.a is None else f" and A = {law.a:.3g}"
    texts = [
        f"Law of recurrence: validation loss = E + A·(N_once + r^φ·N_rec)^−α, fitted to {n} candidates"
        f" of {law.seeds} seeds, with α {_equals(law.alpha)}, E {_equals(law.e)}{a}; it explains"
        f" {100 * law.explained:.0f} % of the variance of log losses, and candidates scatter by"
        f" {100 * law.scatter:.0f} % about it."
    ]
    if _is_known(law.phi):
        texts.append(_phi_sentence(law))
    if law.axis is not None:
        texts.append(_kinds_sentence(law))
    if law.held_out is not None:
        out = law.held_out
        side = "worse" if out.bias > 0 else "better"
        texts.append(
            f"The {out.candidates} candidates of the largest budgets (from {out.train_macs:.3g} training"
            " MACs on) were also predicted by a law fitted to all others. The error is"
            f" {100 * out.error['fitted']:.0f} % (root mean square; {100 * out.inside:.0f} % for the"
            f" candidates of the fit). On average they are {100 * abs(out.bias):.0f} % {side} than"
            f" predicted. With φ = 0 the error is {100 * out.error['0']:.0f} %, with φ = 1"
            f" {100 * out.error['1']:.0f} %."
        )
    unknown = _unknown(law)
    if unknown:
        texts.append(f"Not identifiable from these candidates: {'; '.join(unknown)}.")
    texts.append(
        "All candidates were trained on equally many images: this is a law of fixed data, and the gain"
        " of more data is part of E."
    )
    return texts


def _phi_sentence(law: Recurrence) -> str:
    phi = law.phi
    assert phi is not None
    assert phi.value is not None
    loops = 4 if 4 in law.loops else law.loops[-1]
    low = "less" if phi.low is None else f"{loops**phi.low:.2f}"
    high = "more" if phi.high is None else f"{loops**phi.high:.2f}"
    return (
        f"A loop is worth φ {_equals(phi)}: weights that run {loops} times count as much as"
        f" {loops**phi.value:.2f} times their parameters ({low} to {high}), where 1 is no gain and"
        f" {loops} is the gain of separate weights for each run. {_against(phi)}{_forecast(law)}"
    )


def _against(phi: Estimate) -> str:
    """A sentence that says which of the two simple laws (φ = 0, φ = 1) the interval excludes."""
    named = {0: "φ = 0 (loops are worth nothing)", 1: "φ = 1 (as much as additional weights)"}
    low = -np.inf if phi.low is None else phi.low
    high = np.inf if phi.high is None else phi.high
    excluded = [name for value, name in named.items() if not low <= value <= high]
    included = [name for value, name in named.items() if low <= value <= high]
    parts = []
    if excluded:
        parts.append(f"excludes {listed(excluded)}")
    if included:
        parts.append(f"contains {listed(included)}")
    return f"The interval, over seeds and candidates, {' and '.join(parts)}."


def _forecast(law: Recurrence) -> str:
    """A warning, if predictions with φ fitted are worse than with φ = 0, loops that are worth
    nothing."""
    out = law.held_out
    if out is None or out.error["fitted"] <= out.error["0"]:
        return ""
    return (
        " The fitted φ predicts larger budgets worse than φ = 0: for the"
        f" {out.candidates} candidates of the largest budgets, the error is"
        f" {100 * out.error['fitted']:.0f} % with φ fitted to the others, and"
        f" {100 * out.error['0']:.0f} % with φ = 0."
    )


def _kinds_sentence(law: Recurrence) -> str:
    phis = [f"{_number(kind.phi)} at {kind.value}" for kind in law.kinds]
    return (
        f"What a loop is worth differs by {law.axis} (significantly, after Bonferroni's correction): φ"
        f" is {'; '.join(phis)}, where 0 is no gain and 1 is the gain of additional weights.{_forecast(law)}"
    )


def _unknown(law: Recurrence) -> list[str]:
    """Parameters that the candidates do not determine, with reasons."""
    unknown = []
    looped = [r for r in law.loops if r > 1]
    if law.phi is None:
        unknown.append("φ, since no candidate runs any weights twice")
    elif not _is_known(law.phi):
        text = f"φ ({_edge_reason(law.phi)}{_range(law.phi, '−3', '3')} fits about as well)"
        if len(looped) == 1 and not law.has_unlooped:
            text += f", since all candidates run their shared weights {looped[0]} times"
        unknown.append(text)
    reason = f"the parameters of candidates differ by a factor of {law.span:.1f} only"
    if law.alpha.is_open or law.alpha.value is None:
        unknown.append(
            f"α ({_edge_reason(law.alpha)}{_range(law.alpha, '0', '6')})"
            + (f", since {reason}" if law.span < 10 else "")
        )
    if law.e.is_open or law.e.value is None or law.e.low == 0:
        text = "E, which may be 0"
        if law.e.high is None:
            text = "E, which these candidates do not bound"
        unknown.append(text + (f", since {reason}" if law.span < 10 else ""))
    return unknown


def _saturation_sentence(saturation: Saturation) -> str:
    value, low, high = (
        end or 0.0
        for end in (saturation.doubling.value, saturation.doubling.low, saturation.doubling.high)
    )
    up = low > 0 if saturation.measure == "accuracy" else high < 0
    down = high < 0 if saturation.measure == "accuracy" else low > 0
    sample = f"{saturation.candidates:,} candidates"
    if saturation.families > 1:
        sample += f" in {saturation.families:,} families that differ in loops alone"
    unit = "points" if saturation.measure == "accuracy" else "%"
    text = f"Each doubling of executions changes {saturation.measure} by {points(value)} {unit}"
    if saturation.doubling.is_open:
        reason = (
            "with one seed, it is unknown whether other seeds"
            if saturation.seeds == 1
            else "with so few candidates, it is unknown whether others"
        )
        return f"{text} ({sample}); {reason} would show the same."
    text += (
        f" (95 % interval {points(low)} to {points(high)}, over {saturation.seeds} seeds; {sample})"
    )
    if not up:
        return f"{text}: deeper is {'worse' if down else 'neither measurably better nor measurably worse'}."
    if saturation.beta is None:
        return f"{text}; no saturating law is significantly better than a constant."
    if saturation.beta.value is None or saturation.near is None:
        return f"{text}; these depths do not show how fast the gain falls."
    if saturation.beta.is_open:
        return f"{text}; these depths do not show whether the gain comes to an end."
    text += f"; the gain falls as executions^−{_number(saturation.beta)}"
    if saturation.near <= saturation.deepest:
        text += f", so that a tenth of it is left at {saturation.near:,.0f} executions"
    else:
        text += f", and more than a tenth of it is left at {saturation.deepest:,} executions, the most of any candidate"
    if (
        saturation.limit is not None
        and saturation.limit.value is not None
        and not saturation.limit.is_open
    ):
        as_text = in_percent if saturation.measure == "accuracy" else "{:.3g}".format
        ends = f"{as_text(saturation.limit.low or 0.0)} to {as_text(saturation.limit.high or 0.0)}"
        text += f"; the limit of {saturation.measure} is {as_text(saturation.limit.value)} (95 % interval {ends})"
    return f"{text}."


def _best_depth(slices: Sequence[Slice]) -> str:
    cost = COSTS[slices[0].cost]
    budgets = f"{len(slices)} budgets from {slices[0].low:,} to {slices[-1].high:,}"
    if len(slices) == 1:
        budgets = f"1 budget, {slices[0].span}"
    equal = f"At equal {cost} (within {100 * TOLERANCE:.0f} %; {budgets})"
    if all(iso_slice.error is None for iso_slice in slices):
        return f"{equal} one seed cannot tell which depth is best."
    decided = [iso_slice for iso_slice in slices if not iso_slice.is_open]
    if not decided:
        return f"{equal} no depth is measurably worse than the best."
    first, last = (
        f"{_executions(iso_slice.best.executions)}{_interval(iso_slice)} at {iso_slice.low:,}"
        for iso_slice in (decided[0], decided[-1])
    )
    best = f"the best are {first}" if len(decided) == 1 else f"the best go from {first} to {last}"
    undecided = len(slices) - len(decided)
    undecided_text = (
        f", and at the other {undecided} no depth is measurably worse than the best"
        if undecided
        else ""
    )
    return f"{equal} depths can be told apart at {len(decided)}: {best} {cost}{undecided_text}."


def _executions(count: int) -> str:
    return f"{count:,} execution{'s' if count != 1 else ''}"


def _interval(iso_slice: Slice) -> str:
    low, high = iso_slice.interval
    return f" ({low:,} to {high:,})" if low < high else " (and no other)"


def _is_known(phi: Estimate | None) -> bool:
    """Whether an interval of φ is narrow enough to be reported."""
    if phi is None or phi.value is None or (phi.low is None and phi.high is None):
        return False
    low = -np.inf if phi.low is None else phi.low
    high = np.inf if phi.high is None else phi.high
    # Far below 0, or above 1, the other end of the interval does not matter.
    return high < 0 or low > 1 or high - low <= _VAGUE


def _number(estimate: Estimate) -> str:
    if estimate.low is None and estimate.high is not None:
        text = f"less than {_signed(estimate.high)}"
    elif estimate.high is None and estimate.low is not None:
        text = f"more than {_signed(estimate.low)}"
    elif estimate.low is None or estimate.high is None:
        text = "nothing bounds it"
        return (
            f"not estimated ({text})"
            if estimate.value is None
            else f"{_signed(estimate.value)} ({text})"
        )
    elif estimate.value is None:
        text = f"{_signed(estimate.low)} to {_signed(estimate.high)}"
    else:
        return f"{_signed(estimate.value)} ({_signed(estimate.low)} to {_signed(estimate.high)})"
    return text if estimate.value is not None else f"not estimated ({text})"


def _equals(estimate: Estimate) -> str:
    is_half_open = (estimate.low is None) != (estimate.high is None)
    is_bare = is_half_open or estimate.value is None
    return _number(estimate) if is_bare else f"= {_number(estimate)}"


def _edge_reason(estimate: Estimate) -> str:
    """A reason, if there is an interval but no estimate."""
    return "the best fit lies at an end of the tried range; " if estimate.value is None else ""


def _range(estimate: Estimate, lowest: str, highest: str) -> str:
    low = lowest if estimate.low is None else _signed(estimate.low)
    high = highest if estimate.high is None else _signed(estimate.high)
    return f"any value from {low} to {high}"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
