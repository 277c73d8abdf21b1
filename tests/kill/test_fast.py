"""A few cells of the kill matrix, in seconds: a driver, a worker, a torn write, a second driver."""

from __future__ import annotations

from pathlib import Path

import moments
import pytest
from kills import INTERVAL, SCHEDULED, STUDIES, Box, Golden, Told

from sret_search.config.base import seconds
from sret_search.study import load_study

OPTUNA = {"optuna.samplers:NSGAIISampler": "nsga2"}

pytestmark = pytest.mark.timeout(400)


def test_the_studies_are_what_the_matrix_takes_them_for() -> None:
    for name in STUDIES:
        study = load_study(Path(__file__).parent / "studies" / f"{name}.yaml")
        search = study.file.search
        assert study.name == name == f"{OPTUNA.get(search.sampler, search.sampler)}_{search.order}"
        assert seconds(study.file.compute.checkpoint_every) == INTERVAL
    scheduled = load_study(Path(__file__).parent / "studies" / f"{SCHEDULED}.yaml")
    assert len(scheduled.rungs) == 2
    assert scheduled.cohort < scheduled.trials, "the last cohort is decided when no trial comes"


def test_every_victim_has_its_moments_and_every_sampler_meets_it() -> None:
    for victim, (cells, _) in moments.VICTIMS.items():
        shares = [moments.share(victim, study) for study in STUDIES]
        assert len(cells) >= 5 and all(shares)
        assert cells.keys() <= {name for chosen in shares for name in chosen}


def test_faults_and_torn_files_change_nothing(golden: Golden, told: Told, tmp_path: Path) -> None:
    chosen = {
        "driver, after the commit of a trial": moments.DRIVER["after the commit of a trial"],
        "worker, half of a checkpoint": moments.WORKER["half of a checkpoint"],
        "second driver, outcome stored": moments.SECOND["outcome stored, trial not ended"],
        "torn write, checkpoint": moments.TORN["checkpoint, half"],
    }
    box = Box(tmp_path, "grid_eager", [chosen[name] for name in chosen])
    box.finish()
    assert len(box.refused) == 1 and box.refused[0] < 60
    assert any("its worker died" in run.out for run in box.runs)
    row = told("some", list(chosen), box)
    row["lost_seconds"] = box.check_lost()
    box.check_same(golden("grid_eager"))
