"""Rules of comparisons: arms, learning rates, controls and confirmation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from sret_search.config.problems import Problem
from sret_search.config.study_file import Rates
from sret_search.config.yaml_source import KeyPath, SourceFile
from sret_search.errors import nearest
from sret_search.study.contrast_rules import contrast_problems
from sret_search.study.study import Study

_TWICE = 1e-3
"""Relative error up to which a learning rate counts as twice another."""


def comparison_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    """Find arms and contrasts that are not in the space, controls that the weights or the recipe do
    not allow, and a confirmation where nothing is chosen."""
    yield from _arm_problems(study, doc)
    yield from contrast_problems(study, doc)
    yield from _control_problems(study, doc)
    if study.file.confirm is not None and study.file.arms is not None:
        message = "arms are declared before training, so there is no choice to confirm"
        yield doc.problem(("confirm",), f"{message}: leave out `confirm` or `arms`", at_key=True)


def _arm_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    arms = study.file.arms
    if arms is None:
        return
    if not study.file.search.entry.exhaustive:
        yield doc.problem(
            ("arms",), "arms are declared before training: they need the grid sampler"
        )
        return
    axis = study.space.axes.get(arms.axis)
    if axis is None:
        valid = nearest(arms.axis, study.space.axes)
        yield doc.problem(("arms", "axis"), f"the space has no axis {arms.axis}; {valid}")
        return
    others = [
        path
        for path, other in study.space.axes.items()
        if arms.axis not in (path, other.same_as, *other.when)
    ]
    if others:
        message = (
            f"arms compare one axis, but the space also has {', '.join(others)}; an axis may stand"
            f" beside it only under a condition on the arms: `when: {{{arms.axis}: [...]}}`"
        )
        yield doc.problem(("arms", "axis"), message)
    if axis.choices is None or arms.reference not in axis.choices:
        valid = ", ".join(map(str, axis.choices or [])) or "the axis needs `choices`"
        yield doc.problem(
            ("arms", "reference"), f"{arms.reference} is not a value of {arms.axis}; {valid}"
        )
    if arms.lr is not None:
        yield from _rate_problems(study, arms.lr, doc)


def _rate_problems(study: Study, rates: Rates, doc: SourceFile) -> Iterator[Problem]:
    here = ("arms", "lr")
    for i, (rate, following) in enumerate(pairwise(rates.grid)):
        if not math.isclose(following, 2 * rate, rel_tol=_TWICE):
            message = (
                f"each rate must be twice the previous rate, but {following:g} comes after {rate:g}"
            )
            yield doc.problem((*here, "grid", i + 1), f"{message}; {2 * rate:g} would do")
    recipe = study.file.recipe
    for name in ("lr_start", "lr_end"):
        if getattr(recipe, name) > min(rates.grid):
            message = f"{min(rates.grid):g} is below the recipe's {name}, {getattr(recipe, name):g}"
            yield doc.problem((*here, "grid", 0), message)
    if "recipe.lr" in study.space.axes:
        message = "`arms.lr` tries the learning rates: leave out the axis recipe.lr"
        yield doc.problem(here, message, at_key=True)


def _control_problems(study: Study, doc: SourceFile) -> Iterator[Problem]:
    controls = study.file.controls
    for i, control in enumerate(controls):
        here = ("controls", i)
        if control in controls[:i]:
            yield doc.problem(here, f"{control} stands here twice")
        elif control == "rerun":
            yield from _rerun_problems(study, doc, here)
        elif control == "iso_train_macs" and "shallow" in controls and _by_macs(study):
            message = (
                "all candidates train for the same multiply-adds, so that the shallow twin is also"
                " the iso_train_macs twin: leave one of them out"
            )
            yield doc.problem(here, message)
        elif study.has_elastic:
            message = f"{control} twins run at one depth, but depth_training trains many"
            yield doc.problem(here, f"{message}: leave one of them out")

    if "rerun" in study.file.model_fields_set and "rerun" not in controls:
        message = "`rerun` is for `controls: [rerun]`, which this study does not have"
        yield doc.problem(("rerun",), message, at_key=True)


def _by_macs(study: Study) -> bool:
    return study.file.recipe.macs is not None or "recipe.macs" in study.space.axes


def _rerun_problems(study: Study, doc: SourceFile, here: KeyPath) -> Iterator[Problem]:
    arms = study.file.arms
    if arms is None:
        yield doc.problem(here, "rerun controls need `arms`: the axis of loops and a reference")
        return
    if not arms.axis.endswith(".loops"):
        yield doc.problem(here, f"rerun controls need arms on loops, not on {arms.axis}")
        return
    if not study.file.search.entry.exhaustive or arms.axis not in study.space.axes:
        return
    for candidate in study.grid:
        for other in study.reruns(candidate):
            if candidate.architecture.weights != other.weights:
                message = (
                    f"weights trained at {arms.axis} = {candidate.values.get(arms.axis)} cannot run"
                    f" as {other.executions} executions: the axis changes the weights themselves"
                )
                yield doc.problem(here, message)
                return
