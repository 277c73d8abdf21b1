"""Candidates that are put together from parts, against the template with every value replaced."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from candidates import SPACE

from sret_search.architecture import Architecture
from sret_search.architecture.variants import VARIANTS
from sret_search.config.space_file import Axis, Budget
from sret_search.job import Recipe
from sret_search.space import assembly
from sret_search.space.assembly import addresses, replaced
from sret_search.space.candidate import Candidate
from sret_search.space.space import Space

PARTS = Space(
    VARIANTS["sret_t"],
    Recipe(epochs=3, lr=0.01),
    {
        "nll": Axis(choices=[{"share": "block"}, {"share": "execution", "rank": 8}]),
        "nll.ratio": Axis(choices=[0.5, 2.0]),
        "stages.0.groups": Axis(choices=[[8, 2], [1], [5]]),
        "stages.*.loops": Axis(choices=[1, 2]),
        "stages.1.loops": Axis(choices=[3, [1, 2, 2, 2, 1]], when={"stages.*.loops": [2]}),
        "recipe": Axis(choices=[{"epochs": 1}, {"steps": 7, "lr": 0.1}]),
        "recipe.augment.rotate": Axis(choices=[0.0, 5.0]),
    },
    Budget(),
)


def from_template(space: Space, values: dict[str, Any]) -> Candidate:
    """The candidate that the template builds with values at their places."""
    plain: Any = space.template
    for path in (path for path in space.axes if path in values):
        for place in addresses(path, len(space.architecture.stages)):
            plain = replaced(plain, place, values[path])
    architecture = Architecture.from_dict(plain["architecture"])
    return Candidate(values, architecture, Recipe.from_dict(plain["recipe"]))


def outcome(
    build: Callable[[dict[str, Any]], Candidate], values: dict[str, Any]
) -> Candidate | str:
    """The candidate, or the rule that forbids it."""
    try:
        return build(values)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("space", [SPACE, PARTS], ids=["fields", "parts"])
def test_parts_build_what_the_whole_template_builds(
    space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "CACHED", 8)  # so that some are built again
    rng = random.Random(3)
    found = []
    for _ in range(500):
        values = space.draw(rng)
        found.append(outcome(space.candidate, values))
        assert found[-1] == outcome(partial(from_template, space), values)
    assert 30 < sum(isinstance(one, Candidate) for one in found) < 500


def test_a_whole_part_has_defaults_for_what_it_does_not_say() -> None:
    space = replace(PARTS, axes={"nll": PARTS.axes["nll"], "recipe": PARTS.axes["recipe"]})
    found = space.candidate({"nll": {"share": "block"}, "recipe": {"epochs": 1}})
    assert (found.architecture.nll.ratio, found.recipe.lr) == (1.0, Recipe().lr)


def test_candidates_share_their_parts() -> None:
    one, other = (SPACE.candidate({"drop_path": rate}) for rate in (0.0, 0.3))
    assert one.architecture != other.architecture
    assert one.recipe is other.recipe
    for first, second in zip(one.architecture.stages, other.architecture.stages, strict=True):
        assert first is second
