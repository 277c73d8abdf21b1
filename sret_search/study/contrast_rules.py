"""Rules of contrasts: each compares two values of an axis, with candidates for both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sret_search.config.problems import Problem
from sret_search.config.study_file import Contrast
from sret_search.config.yaml_source import KeyPath, SourceFile
from sret_search.errors import nearest
from sret_search.space.contrasts import inert_axes, pairs, value_text
from sret_search.study.study import Study

_LISTED = 12
"""Largest number of values of an axis that a message lists."""


_GONE_THROUGH = 4096
"""Largest number of candidates of a grid in which a pair is searched before it is run."""


def contrast_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    """Find contrasts of an axis or a value that does not exist, contrasts that are repeated, and
    contrasts without a pair of candidates."""
    contrasts = study.file.contrasts
    if contrasts and not study.file.search.entry.exhaustive:
        message = "contrasts are declared before training: they need the grid sampler"
        yield doc.problem(("contrasts",), message, at_key=True)
        return
    seen: list[tuple[str, str]] = []
    for i, contrast in enumerate(contrasts):
        here: KeyPath = ("contrasts", i)
        wrong = list(_wrong(study, contrast, here, doc))
        yield from wrong
        if wrong:
            continue
        sides = sorted(json.dumps(side) for side in (contrast.of, contrast.against))
        key = contrast.axis, json.dumps([*sides, contrast.within], sort_keys=True)
        if key in seen:
            yield doc.problem(here, "this contrast stands here twice")
        seen.append(key)
        if study.points.number > _GONE_THROUGH:
            continue
        candidates = [candidate.values for candidate in study.grid]
        if not pairs(
            contrast, candidates, study.space.axes, inert_axes(contrast, candidates, study.space)
        ):
            message = (
                f"no two candidates differ in nothing but {contrast.axis}, {value_text(contrast.of)}"
                f" in one and {value_text(contrast.against)} in the other"
            )
            yield doc.problem(here, message)


def _wrong(study: Study, contrast: Contrast, here: KeyPath, doc: SourceFile) -> Iterator[Problem]:
    axes = study.space.axes
    axis = axes.get(contrast.axis)
    if axis is None:
        message = f"the space has no axis {contrast.axis}; {nearest(contrast.axis, axes)}"
        yield doc.problem((*here, "axis"), message)
    elif axis.same_as is not None:
        message = f"{contrast.axis} follows {axis.same_as}: contrast {axis.same_as} instead"
        yield doc.problem((*here, "axis"), message)
    else:
        for side in ("of", "against"):
            value = getattr(contrast, side)
            if value not in study.space.options(contrast.axis):
                yield doc.problem((*here, side), _no_value(study, contrast.axis, value))
        if contrast.of == contrast.against:
            message = f"{value_text(contrast.of)} cannot be compared with itself"
            yield doc.problem((*here, "against"), message)
    for path, wanted in contrast.within.items():
        place = (*here, "within", path)
        if path not in axes:
            message = f"the space has no axis {path}; {nearest(path, axes)}"
            yield doc.problem(place, message, at_key=True)
        elif path == contrast.axis:
            message = f"{path} is the compared axis: `within` is for the other axes"
            yield doc.problem(place, message, at_key=True)
        elif wanted not in study.space.options(path):
            several = isinstance(wanted, list) and wanted
            for i, value in enumerate(wanted if several else [wanted]):
                if value not in study.space.options(path):
                    at = (*place, i) if several else place
                    yield doc.problem(at, _no_value(study, path, value))


def _no_value(study: Study, path: str, value: Any) -> str:
    options = study.space.options(path)
    message = f"{value_text(value)} is not a value of {path}; "
    if len(options) <= _LISTED:
        return message + ", ".join(value_text(option) for option in options)
    if study.space.ordered(path) and isinstance(value, int | float):
        return message + f"did you mean {min(options, key=lambda option: abs(option - value))}?"
    return message + nearest(value_text(value), map(value_text, options))
