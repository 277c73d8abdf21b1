"""Laws and slices in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sret_search.reporting.depth import Depth
from sret_search.reporting.scaling import Scaling
from sret_search.reporting.scaling.interval import Estimate
from sret_search.reporting.scaling.recurrence import Recurrence
from sret_search.reporting.scaling.saturation import Saturation
from sret_search.reporting.slices import TOLERANCE, Slice
from sret_search.reporting.words import in_percent, listed, points

_VAGUE = 1.0
"""Width from which on an interval of φ tells little: loops are worth nothing, or as much as
weights of their own."""
_COSTS = {"params": "parameters", "macs": "MACs"}


def headlines(found: Scaling) -> list[str]:
    """What is worth the top of the page."""
    law, said = found.recurrence, []
    if law is not None and law.axis is not None:
        said = [_kinds_sentence(law)]
    elif law is not None and _is_known(law.phi):
        said = [_phi_sentence(law)]
    return said + [_best_depth(own) for own in (found.params, found.macs) if len(own) >= 3]


def sentences(found: Scaling) -> list[str]:
    """All that the laws say, and what they cannot."""
    said = []
    if found.recurrence is not None:
        said += _recurrence_sentences(found.recurrence)
    said += [_saturation_sentence(one) for one in found.saturations]
    return said + [_best_depth(own) for own in (found.params, found.macs) if own]


def unused_depth(depths: list[Depth]) -> list[str]:
    """Where weights that were trained at another depth do as well as those trained at this one."""
    unused = [depth for depth in depths if depth.is_unused]
    if not unused:
        return []
    reference = next(depth for depth in depths if depth.is_reference)
    most = max(depth.gain_interval[1] for depth in unused if depth.gain_interval is not None)
    text = (
        f"Depth not used at {listed([f'{depth.executions:,}' for depth in unused])} executions: weights"
        f" trained at {reference.executions:,} and run there without training do as well as weights"
        " trained there"
    )
    if most <= 0:
        return [f"{text}, or better."]
    return [f"{text}, which gain {points(most)} points at most (95 % intervals)."]


def _recurrence_sentences(law: Recurrence) -> list[str]:
    n = f"{len(law.trained):,}"
    if law.left_out:
        n += f" of {len(law.trained) + law.left_out:,}"
    said = [
        f"Law of recurrence: validation loss = E + A·(N_once + r^φ·N_rec)^−α, fitted to {n} candidates,"
        f" with α {_equals(law.alpha)}, E {_equals(law.e)} and A = {law.a:.3g}; it explains"
        f" {100 * law.explained:.0f} % of the variance of log losses, and candidates scatter by"
        f" {100 * law.scatter:.0f} % about it."
    ]
    if law.phi is not None:
        if _is_known(law.phi):
            said.append(_phi_sentence(law))
        said.append(_nested_sentence(law))
    if law.axis is not None:
        said.append(_kinds_sentence(law))
    if law.held_out is not None:
        out = law.held_out
        side = "worse" if out.bias > 0 else "better"
        said.append(
            f"The {out.candidates} candidates of the largest budgets (from {out.train_macs:.3g} training"
            f" MACs on), foretold by the law of all others, are off by {100 * out.error['fitted']:.0f} %"
            f" (root mean square; {100 * out.inside:.0f} % where it was fitted), on average"
            f" {100 * abs(out.bias):.0f} % {side} than foretold; with φ = 0 by"
            f" {100 * out.error['0']:.0f} %, with φ = 1 by {100 * out.error['1']:.0f} %."
        )
    unknown = _unknown(law)
    if unknown:
        said.append(f"Not identifiable from these candidates: {'; '.join(unknown)}.")
    said.append(
        "All candidates were trained on equally many images: this is a law of fixed data, and what more"
        " data would gain is part of E."
    )
    return said


def _phi_sentence(law: Recurrence) -> str:
    assert law.phi is not None
    loops = 4 if 4 in law.loops else law.loops[-1]
    worth = [
        None if end is None else loops**end for end in (law.phi.value, law.phi.low, law.phi.high)
    ]
    value, low, high = worth
    return (
        f"A loop is worth φ {_equals(law.phi)}: to run weights {loops} times counts as much as"
        f" {value:.2f} times their parameters ({'less' if low is None else f'{low:.2f}'} to"
        f" {'more' if high is None else f'{high:.2f}'}), where 1 is no gain and {loops} that of weights"
        " of their own."
    )


def _kinds_sentence(law: Recurrence) -> str:
    each = [f"{_number(kind.phi)} at {kind.value}" for kind in law.kinds]
    return (
        f"What a loop is worth differs by {law.axis} most (a law for each of its values is better by BIC):"
        f" φ is {'; '.join(each)}, where 0 is no gain and 1 that of weights of their own."
    )


def _nested_sentence(law: Recurrence) -> str:
    names = {"fitted": "φ fitted", "0": "φ = 0 (loops are worth nothing)"}
    names["1"] = "φ = 1 (as much as weights of their own)"
    best = min(law.bic, key=lambda name: law.bic[name])
    others = [
        f"{name} by {law.bic[key]:.1f}" for key, name in names.items() if key in law.bic and key != best
    ]  # fmt: skip
    return (
        f"By BIC {names[best]} is best, before {listed(others)}"
        " (from about 6 on the difference is strong)."
    )


def _unknown(law: Recurrence) -> list[str]:
    """Parameters that the candidates do not tell, and why."""
    found = []
    looped = [r for r in law.loops if r > 1]
    if law.phi is None:
        found.append("φ, since no candidate runs any weights twice")
    elif not _is_known(law.phi):
        text = f"φ ({_range(law.phi, '−3', '3')} fits about as well)"
        if len(looped) == 1 and not law.has_unlooped:
            text += f", since all candidates run their shared weights {looped[0]} times"
        found.append(text)
    few = f"the parameters of candidates differ by a factor of {law.span:.1f} only"
    if law.alpha.is_open:
        found.append(
            f"α ({_range(law.alpha, '0', '6')})" + (f", since {few}" if law.span < 10 else "")
        )
    if law.e.is_open or law.e.value <= 0 or law.e.low == 0:
        text = "E, which may be 0"
        if law.e.high is None:
            text = "E, which nothing bounds"
        found.append(text + (f", since {few}" if law.span < 10 else ""))
    return found


def _saturation_sentence(one: Saturation) -> str:
    low, high = one.doubling.low or 0.0, one.doubling.high or 0.0
    up = low > 0 if one.measure == "accuracy" else high < 0
    down = high < 0 if one.measure == "accuracy" else low > 0
    among = f"{one.candidates:,} candidates"
    if one.families > 1:
        among += f" in {one.families:,} families that differ in loops alone"
    unit = "points" if one.measure == "accuracy" else "%"
    text = (
        f"Each doubling of executions changes {one.measure} by {points(one.doubling.value)} {unit}"
        f" (95 % interval {points(low)} to {points(high)}; {among})"
    )
    if not up:
        return f"{text}: deeper is {'worse' if down else 'neither better nor worse, as far as these tell'}."
    if one.beta is None or one.near is None:
        return f"{text}; a law that saturates fits no better than none."
    if one.beta.is_open:
        return f"{text}; whether that comes to an end cannot be told from these depths."
    text += f"; the gain falls as executions^−{_number(one.beta)}"
    if one.near <= one.deepest:
        text += f", so that a tenth of it is left at {one.near:,.0f} executions"
    else:
        text += f", and more than a tenth of it is left at {one.deepest:,} executions, the most there are"
    if one.limit is not None and not one.limit.is_open:
        shown = in_percent if one.measure == "accuracy" else "{:.3g}".format
        ends = f"{shown(one.limit.low or 0.0)} to {shown(one.limit.high or 0.0)}"
        text += f"; it comes to {shown(one.limit.value)} in the end (95 % interval {ends})"
    return f"{text}."


def _best_depth(own: Sequence[Slice]) -> str:
    cost = _COSTS[own[0].cost]
    budgets = f"{len(own)} budgets from {own[0].low:,} to {own[-1].high:,}"
    if len(own) == 1:
        budgets = f"1 budget, {own[0].span}"
    equal = f"At equal {cost} (within {100 * TOLERANCE:.0f} %; {budgets})"
    told = [one for one in own if not one.is_open]
    if not told:
        return f"{equal} no depth is measurably worse than the best."
    first, last = (
        f"{_executions(one.best.executions)}{_interval(one)} at {one.low:,}"
        for one in (told[0], told[-1])
    )
    best = f"the best are {first}" if len(told) == 1 else f"the best go from {first} to {last}"
    others = len(own) - len(told)
    rest = (
        f", and at the other {others} no depth is measurably worse than the best" if others else ""
    )
    return f"{equal} depths can be told apart at {len(told)}: {best} {cost}{rest}."


def _executions(count: int) -> str:
    return f"{count:,} execution{'s' if count != 1 else ''}"


def _interval(one: Slice) -> str:
    low, high = one.interval
    return f" ({low:,} to {high:,})" if low < high else " (and no other)"


def _is_known(phi: Estimate | None) -> bool:
    """Whether an interval of φ tells more than that it is some number."""
    if phi is None or (phi.low is None and phi.high is None):
        return False
    low = -np.inf if phi.low is None else phi.low
    high = np.inf if phi.high is None else phi.high
    # What is far below 0 needs no lower end to be said.
    return high < 0 or low > 1 or high - low <= _VAGUE


def _number(estimate: Estimate) -> str:
    if estimate.low is None and estimate.high is not None:
        return f"less than {_signed(estimate.high)}"
    if estimate.high is None and estimate.low is not None:
        return f"more than {_signed(estimate.low)}"
    if estimate.low is None and estimate.high is None:
        return f"{_signed(estimate.value)} (nothing bounds it)"
    low, high = estimate.low or 0.0, estimate.high or 0.0
    return f"{_signed(estimate.value)} ({_signed(low)} to {_signed(high)})"


def _equals(estimate: Estimate) -> str:
    is_half_open = (estimate.low is None) != (estimate.high is None)
    return _number(estimate) if is_half_open else f"= {_number(estimate)}"


def _range(estimate: Estimate, lowest: str, highest: str) -> str:
    low = lowest if estimate.low is None else _signed(estimate.low)
    high = highest if estimate.high is None else _signed(estimate.high)
    return f"any value from {low} to {high}"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
