"""Draws as they were recorded: a study that goes on under a newer program asks for the same."""

import hashlib
import itertools
import json
import random
from pathlib import Path

import pytest
from test_samplers import study

from sret_search.search.samplers.sobol import Sobol
from sret_search.study import load_study
from sret_search.trials.history import History

ROOT = Path(__file__).parents[3]
KINDS = """\
architecture: sret_digits
axes:
  stages.*.loops: {low: 1, high: 100, log: true}
  stages.*.unique: {low: 2, high: 9}
  residual.kind: {choices: [lrc, scaled, layerscale]}
  drop_path: {low: 0.0, high: 0.3}
  nll.share: {choices: [none, block]}
  nll.ratio: {choices: [0.5, 1.0], when: {nll.share: [block]}}
  recipe.lr: {low: 1e-4, high: 1e-1, log: true}
budget: {executions: {max: 100}}
"""
FINITE = """\
architecture: sret_digits
axes:
  stages.*.loops: {low: 1, high: 60, log: true}
  stages.*.mlp_ratio: {choices: [1, 2, 4]}
budget: {params: {max: 45_000}}
"""
RECORDED = {
    "studies/frontier.yaml": "1d8b9f73fad2e670",
    "studies/small_search.yaml": "af0059c624cc005c",
    "studies/imagenet/frontier.yaml": "9551836dd2e3519c",
    "studies/residual_depth.yaml": "ebda6411e08a3dd9",
    "studies/nll_lrc.yaml": "e2baa6c0505b24bc",
    "studies/elastic.yaml": "1c6b62845c3abcc2",
    "drawn kinds": "4cfbbd20a0926c5a",
    "drawn finite": "8d2e842f6482116c",
    "random kinds": "4baa2f53a91e5395",
    "random finite": "9d0edb3d8a78d50e",
    "sobol kinds": "2781e0a3bd9a3d6c",
    "sobol finite": "4f0beb450e9f449c",
}


def digest(rows: list[object]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def recorded(name: str, folder: Path) -> str:
    """A digest of candidates: of a shipped study, or of a space of every kind of axis."""
    if name.endswith(".yaml"):
        points = load_study(ROOT / name).points
        return digest([one.name for one in itertools.islice(points.at_random(), 30)])
    kind, space = name.split()
    made = study(folder, "{sampler: sobol, trials: 8}", {"kinds": KINDS, "finite": FINITE}[space])
    if kind == "drawn":
        chance = random.Random(1)
        return digest([made.space.draw(chance) for _ in range(300)])
    if kind == "random":
        at = [*itertools.islice(made.points.at_random(), 150)]
        at += itertools.islice(made.points.at_random(70), 20)
        return digest([(one.name, one.values) for one in at])
    asked = itertools.islice(Sobol(made).draw(History(made, [])), 150)
    return digest([(one.candidate.name, one.candidate.values) for one in asked])


@pytest.mark.parametrize("name", RECORDED)
def test_draws_are_as_they_were_recorded(name: str, tmp_path: Path) -> None:
    assert recorded(name, tmp_path) == RECORDED[name]
