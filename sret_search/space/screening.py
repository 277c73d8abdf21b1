"""Which of many candidates can be built, fit the budget, and differ in what they build."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sret_search.architecture import rules
from sret_search.architecture.canonical import most_loops, pieces
from sret_search.cost import MEMORY_BUDGET, cost, train_memory
from sret_search.job import Recipe, train_macs
from sret_search.space.candidate import Candidate, CostContext
from sret_search.space.table import Column, Table, applied, combined

Rows = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Screened:
    """The rows of a table that can be built.

    Attributes:
        rows: their numbers.
        architecture, recipes: theirs, as columns.
        identity: a number that two have in common just if they build the same (rows,).
    """

    table: Table
    terms: CostContext
    rows: Rows
    architecture: Any
    recipes: Column
    identity: Rows

    @cached_property
    def costs(self) -> dict[str, Numbers]:
        """What takes no time, params, macs and executions; and what the budget limits, as far as
        it is known."""
        known = cost(self.architecture, _numbers)
        found = {
            name: self._column(getattr(known, name)) for name in ("params", "macs", "executions")
        }
        limits, every = self.table.space.limits, np.arange(len(self.rows))
        if "memory" in limits:
            found["memory"] = self.memory(every)
        if "train_macs" in limits and self.terms.images:
            found["train_macs"] = self.train_macs(every, found["macs"])
        if "seconds" in limits and self.terms.timing is not None and self.terms.images:
            found["seconds"] = self._seconds(self._within(found))
        return found

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Which of the rows are within the budget, as far as costs are known."""
        return self._within(self.costs)

    @cached_property
    def distinct(self) -> Rows:
        """Places, among the rows, of those that are feasible, each first of its kind, in order."""
        places = np.flatnonzero(self.feasible)
        _, first = np.unique(self.identity[places], return_index=True)
        found: Rows = places[np.sort(first)]
        return found

    @cached_property
    def closest(self) -> int | None:
        """The place of the row that misses the budget by the smallest factor."""
        if not len(self.rows):
            return None
        worst = np.ones(len(self.rows))
        for name, limit in self.table.space.limits.items():
            value = self.costs.get(name)
            if value is not None and limit.max is not None:
                worst = np.maximum(worst, value / max(limit.max, 1e-9))
            if value is not None and limit.min is not None:
                worst = np.maximum(worst, limit.min / np.maximum(value, 1e-9))
        return int(worst.argmin())

    def memory(self, places: Rows) -> Numbers:
        """Bytes of a training step (places,)."""
        recipes = self.recipes.take(places)
        processes = self.terms.processes
        batch = applied(lambda recipe: recipe.images_at_once(processes), recipes).numbers
        architecture = _taken(self.architecture, places)
        found = train_memory(architecture, batch, MEMORY_BUDGET, _numbers).total
        return np.broadcast_to(np.asarray(found, np.float64), (len(places),))

    def cost(self, name: str, places: Rows) -> Numbers:
        """A cost of some rows, in `costs` or not: train_macs and memory take time (places,)."""
        if name == "memory":
            return self.memory(places)
        if name == "train_macs":
            return self.train_macs(places, self.costs["macs"][places])
        return self.costs[name][places]

    def candidate(self, place: int) -> Candidate:
        """The candidate of a row: the same object each time, since its name takes longer than to
        look it up."""
        if place not in self._candidates:
            self._candidates[place] = self._candidate(place)
        return self._candidates[place]

    @cached_property
    def _candidates(self) -> dict[int, Candidate]:
        return {}

    def _candidate(self, place: int) -> Candidate:
        """One that is looked at once: of a million rows not all are kept."""
        return self.table.space.candidate(self.table.values(int(self.rows[place])))

    def _within(self, costs: dict[str, Numbers]) -> NDArray[np.bool_]:
        fits = np.ones(len(self.rows), bool)
        for name, limit in self.table.space.limits.items():
            if name in costs:
                fits &= costs[name] <= (np.inf if limit.max is None else limit.max)
                fits &= costs[name] >= (-np.inf if limit.min is None else limit.min)
        return fits

    def train_macs(self, places: Rows, macs: Numbers) -> Numbers:
        """Multiply-adds of whole trainings, given those of one image (places,)."""
        images = self.terms.images
        seen = applied(lambda recipe: recipe.images_seen(images), self.recipes).numbers
        found = np.round(3.0 * macs * self._column(seen)[places])
        among = np.zeros(len(self.rows), bool)
        among[places] = self._is_elastic[places]
        place_of = np.empty(len(self.rows), np.int64)
        place_of[places] = np.arange(len(places))
        for place, alike in self._kinds(among):
            one = self._candidate(place)
            found[place_of[alike]] = train_macs(one.architecture, one.recipe, images)
        return found

    @cached_property
    def _is_elastic(self) -> NDArray[np.bool_]:
        elastic = applied(lambda recipe: recipe.is_elastic, self.recipes).numbers
        found: NDArray[np.bool_] = self._column(elastic) == 1
        return found

    def _seconds(self, among: NDArray[np.bool_]) -> Numbers:
        """Of some rows; of the others, which are out of the question anyway, infinitely many."""
        found = np.full(len(self.rows), np.inf)
        assert self.terms.timing is not None
        for place, alike in self._kinds(among):
            one = self._candidate(place)
            seconds = self.terms.timing.seconds(one.architecture, one.recipe, self.terms.images)
            found[alike] = seconds
        return found

    def _kinds(self, among: NDArray[np.bool_]) -> Sequence[tuple[int, Rows]]:
        """Of some rows, the places of all that build the same; and the first of these."""
        places = np.flatnonzero(among)
        if not len(places):
            return []
        order = places[np.argsort(self.identity[places], kind="stable")]
        starts = np.flatnonzero(np.diff(self.identity[order])) + 1
        return [(int(alike[0]), alike) for alike in np.split(order, starts)]

    def _column(self, value: Any) -> Numbers:
        return np.array(np.broadcast_to(np.asarray(value, np.float64), (len(self.rows),)))


def screen(table: Table, terms: CostContext) -> Screened:
    """Look at all rows of a table."""
    whole = table.architecture()
    alive = np.arange(table.rows)
    for rule, fields in rules.checks(whole):
        alive = alive[_is_none(applied(rule, *_some(fields, alive, table.rows)))]
    recipes = table.recipe().take(alive)
    can = ~_is_none(recipes)
    alive, recipes = alive[can], recipes.take(can)
    architecture = _taken(whole, alive)
    screened = Screened(
        table, terms, alive, architecture, recipes, _identity(architecture, recipes)
    )
    return _with_depths(screened)


def _with_depths(screened: Screened) -> Screened:
    """Without the elastic candidates whose weights do not fit their depths."""
    keep = np.ones(len(screened.rows), bool)
    for place, alike in screened._kinds(screened._is_elastic):
        try:
            screened._candidate(place)
        except ValueError:
            keep[alike] = False
    if keep.all():
        return screened
    return Screened(
        screened.table,
        screened.terms,
        screened.rows[keep],
        _taken(screened.architecture, np.flatnonzero(keep)),
        screened.recipes.take(keep),
        screened.identity[keep],
    )


def _identity(architecture: Any, recipes: Column) -> Rows:
    columns = [applied(piece, *fields) for piece, fields in pieces(architecture)]
    most = [applied(most_loops, s.unique, s.loops) for s in architecture.stages]
    columns.append(applied(_trained, recipes, applied(max, *most, most[0])))
    moving = [column for column in columns if len(column.values) > 1]
    if not moving:
        return np.zeros(len(recipes.codes), np.int64)
    return combined(moving)[1].astype(np.int64)


def _trained(recipe: Recipe, loops: int) -> str:
    return json.dumps(recipe.built(loops), sort_keys=True)


def _numbers(function: Any, *fields: Column) -> Any:
    return applied(function, *fields).numbers


def _is_none(column: Column) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.array([value is None for value in column.values], bool)[
        column.codes
    ]
    return found


def _some(fields: Sequence[Column], rows: Rows, of: int) -> list[Column]:
    return list(fields) if len(rows) == of else [column.take(rows) for column in fields]


def _taken(fields: Any, rows: Rows) -> Any:
    if isinstance(fields, Column):
        return fields.take(rows)
    if isinstance(fields, list):
        return [_taken(one, rows) for one in fields]
    return SimpleNamespace(**{name: _taken(one, rows) for name, one in vars(fields).items()})
