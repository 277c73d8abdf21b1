"""A space of which hardly any candidate fits the budget."""

from pathlib import Path

import pytest
from test_samplers import GP, MODELS, Driver, study

from sret_search.planning import space_statistics
from sret_search.planning.space_statistics import survey

SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages:
    - {width: 16, heads: 2, unique: 2, loops: 2, groups: [4, 2], mlp_ratio: 2}
    - {width: 32, heads: 4, unique: 1, loops: 3, mlp_ratio: 1.5}
  nll: {share: block}
  residual: {kind: scaled}
axes:
  stages.0.width: {choices: [8, 16, 24, 32, 40, 48]}
  stages.1.width: {same_as: stages.0.width, times: 2}
  stages.*.loops: {low: 1, high: 60}
  stages.*.unique: {low: 1, high: 6}
  nll.share: {choices: [none, stage, block]}
  stages.*.mlp_ratio: {low: 1, high: 4.0}
budget:
  executions: {min: 100, max: 104}
  params: {max: 9_000}
  macs: {min: 1_250_000}
"""


def test_hardly_any_candidate_is_feasible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_statistics, "_DRAWS", 20_000)
    made = study(tmp_path, "{sampler: random, trials: 40}", SPACE)
    low, high = survey(made).share_interval
    assert low < 0.001 < high < 0.002


SAMPLERS = ["random", "stratified", "sobol", *MODELS]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_feasible_candidate_in_a_thousand_still_fills_a_study(
    sampler: str, tmp_path: Path
) -> None:
    trials = {GP: 12, "sobol": 20, "stratified": 20}.get(sampler, 40)
    made = study(tmp_path, f"{{sampler: {sampler}, trials: {trials}}}", SPACE)
    entries = Driver(made).run().entries
    assert len({entry.candidate for entry in entries}) == len(entries) == trials
    assert all(made.feasible(entry.values) is not None for entry in entries)
