"""Real studies for comparison: their files, and what is read of their reports; none is run."""

import json
from pathlib import Path

import pandas as pd
import pytest
import real_search
from real_search import figures, outcome, written
from tabular.table import HELD_BACK

from sret_search.study import load_study


@pytest.mark.parametrize("sampler", ["random", "stratified"])
def test_each_sampler_searches_the_same_space_without_end(sampler: str, tmp_path: Path) -> None:
    study, held = (
        load_study(written(sampler, 100, 60, tmp_path)),
        load_study(HELD_BACK / "study.yaml"),
    )
    assert (study.file.search.sampler, study.file.search.seed, study.trials) == (sampler, 100, 60)
    assert study.space.size is None
    assert study.space.architecture == held.space.architecture
    assert (study.file.data, study.file.recipe) == (held.file.data, held.file.recipe)
    assert study.file.confirm is not None and not study.file.test_curve


def report(accuracies: dict[int, tuple[float, bool]]) -> tuple[dict, pd.DataFrame]:
    """Of a study whose front has members of so many parameters: test accuracy, still on front."""
    confirmed = [
        {"params": params, "test": test, "on_front": on}
        for params, (test, on) in accuracies.items()
    ]
    summary = {
        "hypervolume": {"value": 2.0, "accuracy": 0.1, "params": 10_000},
        "confirmed": confirmed,
    }
    states = ["complete", "complete", "diverged", "complete"]
    roles = ["search", "search", "search", "confirmation"]
    table = pd.DataFrame({"state": states, "role": roles, "seconds": [1.0, 2.0, 3.0, 100.0]})
    return summary, table


def test_a_front_is_judged_by_the_test_accuracy_of_what_fresh_seeds_keep() -> None:
    found = outcome(*report({100: (0.6, True), 1000: (0.9, True), 2000: (1.0, False)}))
    assert found["hypervolume"] == pytest.approx(0.5 * 2 + 0.3 * 1)
    assert (found["seen"], found["reference"]) == (2.0, {"accuracy": 0.1, "params": 10_000})
    assert (found["members"], found["on_front"]) == (3, 2)
    assert (found["trials"], found["lost"], found["train_seconds"]) == (2, 1, 6.0)


def test_samplers_are_held_against_the_first_one_seed_by_seed() -> None:
    def study(sampler: str, seed: int, area: float) -> dict:
        reference = {"accuracy": 0.1, "params": 10_000}
        return {"sampler": sampler, "seed": seed, "hypervolume": area, "reference": reference}

    first = [study("tpe", 0, 1.5), study("random", 0, 1.0), study("sobol", 0, 1.75)]
    assert figures(first)["over"] == {"random": {"each": [0.5]}, "sobol": {"each": [-0.25]}}
    again = [study("tpe", 100, 2.0), study("random", 100, 1.25), study("sobol", 100, 1.0)]
    found = figures(first + again)
    assert found["over"]["random"]["each"] == [0.5, 0.75]
    assert found["over"]["random"]["mean"] == 0.625
    assert found["over"]["random"]["low"] < 0.5 < 0.75 < found["over"]["random"]["high"]
    assert found["reference"] == {"accuracy": 0.1, "params": 10_000}
    assert json.loads(json.dumps(found)) == found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_studies_are_run_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--samplers", "stratified,random", "--trials", "6", "--results", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["real_search.py", *options])
    real_search.main()
    found = json.loads(capfd.readouterr().out)
    (file,) = tmp_path.glob("real_search_*.json")
    assert json.loads(file.read_text()) == found
    for study in found["studies"]:
        assert study["trials"] + study["lost"] == 6
        assert 1 <= study["on_front"] <= study["members"]
        assert study["hypervolume"] > 0
    assert found["over"].keys() == {"random"}
