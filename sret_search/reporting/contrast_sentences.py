"""Contrasts in words."""

from __future__ import annotations

from sret_search.reporting.contrasts import ASKED, Contrasted, Over
from sret_search.reporting.formatting import PARTS, bounds, in_percent, points
from sret_search.reporting.statistics.verdict import NOT_TOLD, certainty


def contrast_sentences(contrasts: list[Contrasted]) -> list[str]:
    """What each contrast found, how sure that is, and what it would have taken."""
    return [_sentence(one) for one in contrasts]


def _sentence(one: Contrasted) -> str:
    if one.difference is None:
        return f"{one.name}: {one.verdict}{_lost(one)}."
    over = f"over {one.seeds} seed{'s' if one.seeds > 1 else ''}"
    if one.pairs > 1:
        over += f" and {one.pairs} pairs of candidates that differ in nothing else"
    text = (
        f"{one.name}: {in_percent(one.of_accuracy)} and {in_percent(one.against_accuracy)} on"
        f" {PARTS[one.part]} {over}, {points(one.difference)} points{_lost(one)}"
    )
    if one.tested.is_closed:
        return f"{text}: {one.verdict}; no verdict."
    own = one.certainty
    if own is None:
        return f"{text}; one seed, no interval and no verdict."
    what = "for other seeds and images" if one.over_both else "for other seeds on these images"
    return (
        f"{text} (95 % interval {what} {bounds(own.interval)}): {one.verdict}"
        f" ({certainty(one.tested, 'contrasts')}). {_power(one, own)}"
    )


def _lost(one: Contrasted) -> str:
    if not one.lost:
        return ""
    pairs = "1 pair" if one.lost == 1 else f"{one.lost} pairs"
    return f", without {pairs} of which a training diverged or failed"


def _power(one: Contrasted, own: Over) -> str:
    """Which difference gets a verdict, and what another takes."""
    seen, asked = own.needed
    first = f" at the first step of Holm's correction (p < 0.05 / {one.tested.tests})"
    text = (
        f"With {one.seeds} seeds a true difference of {100 * own.detectable:.1f} points gets this"
        f" verdict in 80 % of studies{first if one.tested.tests > 1 else ''}; half a point takes"
        f" {_seeds(asked)}"
    )
    difference = abs(one.difference or 0.0)
    if one.verdict == NOT_TOLD and difference >= ASKED / 10:
        text += f", and the {100 * difference:.1f} points seen here {_seeds(seen)}"
    return f"{text}."


def _seeds(needed: int | None) -> str:
    return "other images, not only more seeds" if needed is None else f"{needed:,} seeds"
