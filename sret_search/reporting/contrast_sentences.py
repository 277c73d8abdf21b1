"""Contrasts in words."""

from __future__ import annotations

from sret_search.reporting.contrasts import ASKED, Contrasted, Tested
from sret_search.reporting.words import bounds, in_percent, points


def contrast_sentences(contrasts: list[Contrasted]) -> list[str]:
    """What each contrast found, how sure that is, and what it would have taken."""
    return [_sentence(one, len(contrasts)) for one in contrasts]


def _sentence(one: Contrasted, contrasts: int) -> str:
    if one.difference is None:
        return f"{one.name}: {one.verdict}{_lost(one)}."
    over = f"over {one.seeds} seed{'s' if one.seeds > 1 else ''}"
    if one.pairs > 1:
        over += f" and {one.pairs} pairs of candidates that differ in nothing else"
    text = (
        f"{one.name}: {in_percent(one.of_accuracy)} and {in_percent(one.against_accuracy)} on"
        f" test {over}, {points(one.difference)} points{_lost(one)}"
    )
    tested = one.tested
    if tested is None:
        return f"{text}; one seed, no interval."
    what = "for other seeds and images" if one.over_both else "for other seeds on these images"
    text += f" (95 % interval {what} {bounds(tested.interval)}): {one.verdict}"
    text += f" (p {_p(tested.p)}"
    if contrasts > 1:
        text += f", {_p(tested.p_holm).removeprefix('= ')} after Holm's correction over {contrasts} contrasts"
    return f"{text}). {_power(one, tested)}"


def _lost(one: Contrasted) -> str:
    if not one.lost:
        return ""
    pairs = "1 pair" if one.lost == 1 else f"{one.lost} pairs"
    return f", without {pairs} of which a training diverged or failed"


def _power(one: Contrasted, tested: Tested) -> str:
    """Which difference would have shown, and what another takes."""
    own, asked = tested.needed
    text = (
        f"In 80 % of studies {one.seeds} seeds show a difference of"
        f" {100 * tested.detectable:.1f} points; half a point takes {_seeds(asked)}"
    )
    difference = abs(one.difference or 0.0)
    if one.verdict == "no measurable difference" and difference >= ASKED / 10:
        text += f", and the {100 * difference:.1f} points seen here {_seeds(own)}"
    return f"{text}."


def _seeds(needed: int | None) -> str:
    return "other images, not only more seeds" if needed is None else f"{needed:,} seeds"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"
