"""Comparison of a study with its ledger, after the study was edited."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from sret_search.config.problems import shown
from sret_search.planning.plan import least_trials
from sret_search.planning.user_inputs import data_problem
from sret_search.space.space import Space
from sret_search.study import Study, StudyError
from sret_search.study.description import StudyDescription

FORMAT = 3
"""Version of the ledger's format. It rises when older programs can no longer read a ledger."""

_COMPARED = ("data", "objectives", "latency")
_REPORTED = (
    "data", "recipe", "objectives", "latency", "search", "arms", "branches", "contrasts", "controls",
    "rerun", "confirm", "scheduler", "report",
)  # fmt: skip
"""Keys of a study file on which a report depends."""
_LONGEST = 80
"""Longest text of a value in a message, in characters."""


def describe(study: Study) -> StudyDescription:
    """The description of a study, for its reports and for later comparisons."""
    return StudyDescription.of(study, FORMAT, least_trials(study))


def refuse_other_format(where: str, description: StudyDescription) -> None:
    """Check that this program can read a ledger.

    Args:
        where: the place of the ledger, for the message.

    Raises:
        StudyError: another version wrote it.
    """
    version = description.format
    if version != FORMAT:
        age = "a newer" if version > FORMAT else "an older"
        raise StudyError(
            f"{where}: written by {age} sret_search (format {version}; this one reads {FORMAT});"
            + (
                " update this one"
                if version > FORMAT
                else " --fresh keeps it aside and starts anew"
            )
        )


def refuse_incomparable(study: Study, before: StudyDescription) -> None:
    """Check that the trials of a ledger can be compared with those that the study asks for now.

    Args:
        before: the description of the last run.

    Raises:
        StudyError: they cannot; the message names the differences.
    """
    now = describe(study)
    _refuse_changed_data(study, before, now)
    differences = [
        f"{name} was {json.dumps(before.part(name))} and is now {json.dumps(now.part(name))}"
        for name in _COMPARED
        if before.part(name) != now.part(name)
    ]
    old_rule, rule = _scheduler(before), _scheduler(now)
    if old_rule != rule:
        differences.append(f"scheduler was {json.dumps(old_rule)} and is now {json.dumps(rule)}")
    if before.order != now.order:
        differences.append(f"search.order was {before.order} and is now {now.order}")
    stored = before.stored_axes
    for path in study.space.axes:
        old = stored.get(path)
        if old is not None and _joined(old, study.space, path) is None:
            was = _brief(before.axes.get(path, old))
            differences.append(f"the axis {path} was {was} and is now {_brief(now.axes[path])}")
    if differences:
        raise StudyError(
            f"{shown(study.path)}: its trials in {study.folder} cannot be compared with new ones: "
            + "; ".join(differences)
            + "; undo the edit, or start anew with --fresh, which keeps the old study aside"
        )


def _refuse_changed_data(study: Study, before: StudyDescription, now: StudyDescription) -> None:
    """Check that files and labels are unchanged, if the study file names the same data.

    Raises:
        StudyError: they have changed.
    """
    known = before.contents  # earlier programs did not store them
    if known is None or study.contents is None or now.data.fields != before.data.fields:
        return
    changed = study.contents.difference(known)
    if changed is not None:
        message = (
            f"the data have changed since the study ran: {changed}; images that one trial was"
            " trained on would be test images of another: put them back as they were, or start anew with"
            " --fresh, which keeps the old study aside"
        )
        raise StudyError([data_problem(study, message)])


def differences(study: Study, description: StudyDescription) -> list[str]:
    """The differences between a study with its space and a description, as a text for each field.

    The places where trials run and are stored are not compared.
    """
    now = study.file.model_dump(mode="json") | {
        "data": study.file.data.to_dict(),
        "axes": {path: axis.model_dump(mode="json") for path, axis in study.space.axes.items()},
        "budget": study.space.budget.model_dump(mode="json"),
        "architecture": study.space.architecture.to_dict(),
    }
    texts = []
    for name in (*_REPORTED, "axes", "budget", "architecture"):
        before = description.part(name, now[name])  # earlier programs stored less
        if name == "data":
            before = description.data.fields
        texts += list(_different(name, before, json.loads(json.dumps(now[name]))))
    return texts


def _different(path: str, before: Any, now: Any) -> Iterator[str]:
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict) and path not in ("objectives",):
        if path == "axes":
            gone = [f"axis {name}" for name in before if name not in now]
            yield from (f"{name} is not in it any more" for name in gone)
            yield from (f"axis {name} is new in it" for name in now if name not in before)
            yield from (
                f"axis {name} was {_brief(before[name])} and is now {_brief(now[name])}"
                for name in before
                if name in now and before[name] != now[name]
            )
            return
        for name in dict.fromkeys((*before, *now)):
            yield from _different(f"{path}.{name}", before.get(name), now.get(name))
        return
    yield f"{path} was {_short(before)} and is now {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def stored_axes(study: Study, before: Mapping[str, str]) -> dict[str, str]:
    """The distribution of each axis in the database, as JSON, by path.

    It covers the stored values and those that the study allows now. An axis that was removed keeps
    its distribution.

    Args:
        before: the distributions so far.
    """
    distributions = dict(before)
    for path in study.space.axes:
        joined = _joined(before.get(path), study.space, path)
        assert joined is not None, "what cannot be joined is refused before"
        distributions[path] = distribution_to_json(joined)
    return distributions


def as_stored(value: Any, kind: BaseDistribution) -> Any:
    """A value as the database stores it: a number, or its JSON text."""
    return json.dumps(value) if isinstance(kind, CategoricalDistribution) else value


def _joined(before: str | None, space: Space, path: str) -> BaseDistribution | None:
    """The distribution of old and new values of an axis; None if their kinds differ."""
    now = _distribution(space, path)
    if before is None:
        return now
    old = json_to_distribution(before)
    if isinstance(old, CategoricalDistribution) and isinstance(now, CategoricalDistribution):
        # The database stores a choice by its place, so new choices are added at the end.
        return CategoricalDistribution(tuple(dict.fromkeys((*old.choices, *now.choices))))
    if isinstance(old, CategoricalDistribution) or isinstance(now, CategoricalDistribution):
        return None
    assert isinstance(old, IntDistribution | FloatDistribution)
    assert isinstance(now, IntDistribution | FloatDistribution)
    low, high = min(old.low, now.low), max(old.high, now.high)
    if isinstance(old, IntDistribution) and isinstance(now, IntDistribution):
        return IntDistribution(int(low), int(high))
    return FloatDistribution(low, high)


def _distribution(
    space: Space, path: str
) -> IntDistribution | FloatDistribution | CategoricalDistribution:
    """The distribution of an axis: a range of numbers, or JSON texts as choices."""
    axis = space.axes[path]
    values = axis.choices if axis.choices is not None else [axis.low, axis.high]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if numbers and space.is_whole(path):
        return IntDistribution(min(values), max(values))
    if numbers:
        return FloatDistribution(min(values), max(values))
    return CategoricalDistribution([json.dumps(value) for value in values])


def _scheduler(description: StudyDescription) -> dict[str, Any]:
    """The JSON of a study's scheduler, with only the options that have an effect."""
    scheduler: dict[str, Any] = dict(description.part("scheduler"))
    if scheduler["name"] == "none":
        return {"name": "none"}
    if scheduler["name"] == "asha":
        scheduler.pop("strata")
    return scheduler


def _brief(axis: Mapping[str, Any] | str) -> str:
    if isinstance(axis, str):
        return axis
    return json.dumps(
        {name: value for name, value in axis.items() if value not in (None, False, {})}
    )
