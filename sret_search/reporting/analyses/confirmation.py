"""Members of the front that were trained again with fresh seeds, which did not choose them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from sret_search.reporting.analyses.base import Analysis, Block, Column, Table, drawn, ranged
from sret_search.reporting.analyses.candidates import LABELS, cost_axis
from sret_search.reporting.formatting import listed, percent
from sret_search.reporting.render.chart import Axis, Chart, Panel, Series, ends, percents
from sret_search.reporting.render.colours import BLUE, GREY, RED
from sret_search.reporting.results import Results
from sret_search.reporting.statistics.intervals import Interval
from sret_search.search.confirmation import members, on_the_front
from sret_search.trials.history import History
from sret_search.trials.trial import TrialRecord, by_candidate

_COLUMNS = (
    Column("candidate", "word"), Column("executions"), Column("parameters"), Column("MACs"),
    Column("seeds"), Column("front of the search", "word"), Column("in the search, validation"),
    Column("trained again, validation"), Column("trained again, test"), Column("finding", "word"),
)  # fmt: skip
_FINDINGS = {None: "not decided", True: "stays on the front", False: "is beaten by another"}


@dataclass(frozen=True)
class Confirmed:
    """A candidate of a front. Accuracies are means over fresh seeds, as fractions. Intervals are at
    95 %, for this member alone.

    Attributes:
        on: the part of the data that it was trained on.
        chosen: validation accuracy that the search measured.
        is_observed: whether it is on the front of the measured accuracies. A sampler's model may
            have chosen another front to train again.
        val: validation accuracy of the fresh seeds. None if they trained on those images too.
        score: the number that chooses the best member, more is better: validation accuracy of the
            fresh seeds, or minus their loss if the study minimises loss. If they trained on
            validation, the score of the search: the test part never chooses. None if not finite; it
            then cannot be chosen.
        on_front: whether it is on the front of the fresh seeds, in the study's objectives. None if
            they trained on validation, so that nothing decides.
    """

    candidate: str
    params: int
    macs: int
    executions: int
    unique_blocks: int
    seeds: int
    on: str
    chosen: float | None
    is_observed: bool
    val: float | None
    test: float
    test_interval: Interval
    score: float | None
    on_front: bool | None = None


def confirmations(results: Results) -> dict[str, list[TrialRecord]]:
    """The complete trials that confirm each member, as the study asks now. Members that the stored
    description does not train are left out, and members of which a fresh seed diverged or
    failed."""
    confirm = results.study.file.confirm
    if confirm is None:
        return {}
    compared = {entry.candidate for entry in results.comparable}
    confirming = [entry for entry in results.entries if entry.role == "confirmation"]
    entries_of = by_candidate(entry for entry in confirming if entry.confirmed_on == confirm.on)
    complete = {
        name: [entry for entry in entries if entry.state == "complete"]
        for name, entries in entries_of.items()
        if name in compared and not any(e.state in ("diverged", "failed") for e in entries)
    }
    return {name: entries for name, entries in complete.items() if entries}


def observed_front(results: Results) -> list[str]:
    """The candidates that no other dominates in the study's objectives, by the results of the
    search."""
    return members(results.study, History(results.study, results.entries))


def confirmed(results: Results) -> list[Confirmed]:
    """Every member that was trained again, sorted by parameters."""
    trials_of = results.once(confirmations)
    if not trials_of:
        return []
    observed = set(results.once(observed_front))
    searched = results.candidates.set_index("candidate")
    scores = dict(
        zip(results.candidates.candidate, results.scores(results.candidates), strict=True)
    )
    spread = results.spread([entry for entries in trials_of.values() for entry in entries], "test")
    members_again = []
    for name, entries in trials_of.items():
        cost = entries[0].cost
        is_whole = entries[0].sees_validation
        val = float(np.mean([entry.result.accuracy("val") for entry in entries]))
        loss = float(np.mean([entry.result.loss for entry in entries]))
        test = [entry.result.accuracy("test") for entry in entries]
        fresh = val if results.measure == "accuracy" else -loss
        score = scores.get(name, np.nan) if is_whole else fresh
        members_again.append(
            Confirmed(
                candidate=name,
                params=cost["params"],
                macs=cost["macs"],
                executions=cost["executions"],
                unique_blocks=cost["unique_blocks"],
                seeds=len(entries),
                on=results.description.confirmed_on,
                chosen=float(searched.val_accuracy[name]) if name in searched.index else None,
                is_observed=name in observed,
                val=None if is_whole else val,
                test=float(np.mean(test)),
                test_interval=spread.interval(test, name),
                score=float(score) if np.isfinite(score) else None,
            )
        )
    members_again.sort(key=lambda member: member.params)
    if members_again[0].val is None:
        return members_again
    groups = [trials_of[member.candidate] for member in members_again]
    on_front = on_the_front(results.study.file.objectives, groups)
    return [
        replace(member, on_front=bool(on))
        for member, on in zip(members_again, on_front, strict=True)
    ]


def analyse(results: Results) -> Analysis:
    """The members of the front that were trained again."""
    retrained = results.once(confirmed)
    return Analysis(
        sentences=sentences(results, retrained),
        charts=drawn(chart(retrained)),
        blocks=[_block(retrained)] if retrained else [],
        facts={"confirmed": [asdict(member) for member in retrained]},
    )


def _block(retrained: list[Confirmed]) -> Block:
    note = (
        "Accuracy in %. A candidate that is chosen among many looks better than it is. So each member"
        f" of the front was trained again with {retrained[0].seeds} fresh seeds on {retrained[0].on}. The"
        " numbers are means, with the 95 % interval of each member alone. “Observed” members are on the"
        " front that the search measured. “Believed” members are on the front that the sampler's model"
        " predicts."
    )
    table = Table(_COLUMNS, [_row(member) for member in retrained])
    return Block("The front, trained again", "confirmed", notes=[note], table=table)


def _row(member: Confirmed) -> tuple[str, ...]:
    return (
        member.candidate,
        f"{member.executions:,}",
        f"{member.params:,}",
        f"{member.macs:,}",
        str(member.seeds),
        "observed" if member.is_observed else "believed",
        percent(member.chosen),
        percent(member.val),
        ranged(member.test, member.test_interval),
        _FINDINGS[member.on_front],
    )


def sentences(results: Results, retrained: list[Confirmed]) -> list[str]:
    """Sentences with the number of members that stay on the front, and which front was trained
    again."""
    if not retrained:
        return []
    number, beginning = len(retrained), f"Trained again with {retrained[0].seeds} fresh seeds each"
    texts = []
    if retrained[0].on_front is not None:
        stay = sum(member.on_front is True for member in retrained)
        objectives = listed(list(results.study.file.objectives))
        texts.append(
            f"{beginning}, {stay} of {number} members of the front stay on it, by validation and in the"
            f" objectives that chose them ({objectives})."
        )
    believed = sum(not member.is_observed for member in retrained)
    if results.study.file.search.sampler == "frontier":
        again_names = {member.candidate for member in retrained}
        missed = sum(name not in again_names for name in results.once(observed_front))
        texts.append(
            f"The front that was trained again is the front that the sampler's model predicts:"
            f" {believed} of its {number} members are not on the front that the search measured, and"
            f" {missed} members of the measured front were not trained again."
        )
    return texts


def chart(retrained: list[Confirmed]) -> Chart | None:
    """Validation accuracy that chose each member, and test accuracy of fresh seeds. None if nothing
    was trained again."""
    if not retrained:
        return None
    x = np.array([member.params for member in retrained], float)
    chosen, test = (
        percents([getattr(member, n) for member in retrained]) for n in ("chosen", "test")
    )
    low, high = ends([member.test_interval for member in retrained])
    stays = np.array([member.on_front is True for member in retrained])
    axis = cost_axis(x, LABELS["params"])
    assert axis.range is not None
    seeds, on = retrained[0].seeds, retrained[0].on
    facts = [
        f"{member.candidate}\n{member.params:,} parameters\n{member.macs:,} MACs\n{member.executions:,} executions"
        for member in retrained
    ]
    series = (
        Series(
            "stays on the front, by validation", "points", x[stays], test[stays], colour=RED,
            hollow=True, size=11,
        ),
        Series(
            "as the search measured it, on validation", "points", x, chosen, colour=GREY, hollow=True,
            hover=[f"{fact}\n{y:.1f} % in the search" for fact, y in zip(facts, chosen, strict=True)],
        ),
        Series(
            f"{seeds} fresh seeds trained on {on}, on test", "points", x, test, low=low, high=high,
            colour=BLUE,
            hover=[
                f"{fact}\n{y:.1f} % on test ({below:.1f} to {above:.1f}), {member.seeds} seeds"
                for fact, member, y, below, above in zip(facts, retrained, test, low, high, strict=True)
            ],
        ),
    )  # fmt: skip
    return Chart(
        name="confirmed",
        title="The front, trained again",
        caption="A candidate that is chosen among many looks better than it is. Each member of the front"
        " with the accuracy that the search measured, and with the accuracy of fresh seeds on test and"
        " the 95 % interval of each alone.",
        panels=(Panel(axis, Axis("accuracy in %"), series),),
    )
