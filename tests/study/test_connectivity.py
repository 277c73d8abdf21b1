"""The example of data of one's own, and what is left of the data set that it took the place of."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sret_search import importing
from sret_search.job import Data
from sret_search.reporting.results import Results
from sret_search.study import StudyError, load_study
from sret_search.trials.ledger import Ledger

STUDY = Path(__file__).parents[2] / "studies/connectivity/study.yaml"
SPACE = """\
architecture:
  image_size: 8
  in_channels: 3
  classes: 2
  stem_strides: [1]
  stages: [{width: 16, heads: 2}]
"""


def joined(image: np.ndarray) -> bool:
    """Whether steps from side to side lead from the one mark to the other."""
    free, marks = image[0] == 0, np.argwhere(image[2])
    reached = {tuple(marks[0].tolist())}
    waiting = list(reached)
    while waiting:
        row, column = waiting.pop()
        for beside in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            inside = min(beside) >= 0 and max(beside) < len(free)
            if inside and free[beside] and beside not in reached:
                reached.add(beside)
                waiting.append(beside)
    return tuple(marks[1].tolist()) in reached


def test_labels_say_what_joins_and_walls_and_distances_do_not_tell_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(STUDY.parents[2])
    connectivity = importing.load("studies.connectivity.grids:connectivity")
    made = connectivity(images=200, size=10, seed=3)
    images, labels = made["train"]
    assert images.shape == (200, 3, 10, 10)
    assert images.dtype == np.uint8
    assert (images.sum(1) == 255).all()
    assert len(made["test"][1]) == 50
    assert [joined(image) for image in images] == (labels == 1).tolist()
    assert (images[::2, 0] == images[1::2, 0]).all()
    for one, other in zip(images[::2], images[1::2], strict=True):
        apart = [sorted(np.abs(np.diff(np.argwhere(i[2]), axis=0))[0]) for i in (one, other)]
        assert apart[0] == apart[1]
    again = connectivity(images=200, size=10, seed=3)
    assert (again["train"][0] == images).all()


def test_the_example_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sret_search.planning.user_inputs import check_inputs
    from sret_search.training.train import train

    monkeypatch.chdir(STUDY.parents[2])
    study = check_inputs(load_study(STUDY))
    assert study.sizes == (2700, 300, 750)
    data = replace(study.file.data, options={"images": 80, "size": 12})
    recipe = replace(study.file.recipe, epochs=1)
    job = study.job(study.grid[-1], 0, "cpu")
    job = replace(job, data=data, recipe=recipe, reruns=())
    assert train(job, tmp_path / "attempt-1", lambda metrics: None).state == "complete"


@pytest.mark.usefixtures("here")
def test_a_study_that_names_the_data_set_of_before_is_told_what_to_write() -> None:
    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text("study: s\nspace: space.yaml\ndata: {name: connectivity}\n")
    with pytest.raises(StudyError, match=r"^study\.yaml:3:7: connectivity is no data set of this"):
        load_study("study.yaml")


@pytest.mark.usefixtures("here")
def test_a_ledger_of_before_is_read() -> None:
    """As an earlier program wrote it: its data, and its sampler, are of names that are gone."""
    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text("study: s\nspace: space.yaml\ndata: {name: a:b}\n")
    study = load_study("study.yaml")
    ledger = Ledger.create(study)
    before = ledger.description
    data = dict(before.data.plain) | {
        "name": "connectivity",
        "images": 600,
        "sizes": [420, 60, 120],
    }
    search = before.part("search") | {"sampler": "nsga2", "trials": 1}
    description = before.changed(data=data, search=search)
    ledger._remember("study", replace(ledger._attributes, description=description))
    candidate = study.grid[0]
    ledger.begin(study.job(candidate, 0, "cpu"), candidate.values, 420)
    ledger.close()
    results = Results.read(study)
    assert results.study.file.data == Data("connectivity:grids", options={"images": 600})
    assert results.study.file.search.sampler == "optuna.samplers:NSGAIISampler"
    assert any("data.name was" in text for text in results.edited)


def test_jobs_of_other_data_keep_their_names() -> None:
    plain = Data().to_dict()
    assert json.loads(json.dumps(plain))["images"] is None
    assert Data.from_dict(plain) == Data()
    assert list(plain) == [
        "name", "imagefolder", "root", "download", "image_size", "split_seed", "val", "test", "order",
        "folds", "fold", "images", "grid", "test_grid",
    ]  # fmt: skip
    old = plain | {"name": "connectivity", "images": 100, "grid": 6}
    assert Data.from_dict(old).options == {"images": 100, "grid": 6}
