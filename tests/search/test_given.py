"""A study's own data, as they are looked at before anything is trained."""

import json
from pathlib import Path

import made_up
import pytest
from PIL import Image

from sret_search.__main__ import main
from sret_search.reporting import summary
from sret_search.reporting.results import Results
from sret_search.search.given import see
from sret_search.study import Study, StudyError, load_study

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on one core

SPACE = """\
architecture:
  image_size: 16
  in_channels: 3
  classes: 2
  stem_strides: [2, 2]
  stages: [{width: 8, heads: 1}]
axes: {recipe.lr: {choices: [0.01, 0.001]}}
"""
STUDY = """\
study: seen
space: space.yaml
data: {imagefolder: photos, image_size: 16}
recipe: {epochs: 1}
search: {sampler: random, trials: 1}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def images(folder: str, classes: tuple[str, ...] = ("ant", "bee"), each: int = 12) -> None:
    """Class folders of images, which differ in their bytes."""
    for place, name in enumerate(classes):
        Path(folder, name).mkdir(parents=True)
        for number in range(each):
            Image.new("RGB", (8, 8), (number, place, 0)).save(Path(folder, name, f"{number}.png"))


def written(text: str = STUDY) -> Study:
    return made_up.written(SPACE, text)


def refused(study: Study) -> str:
    with pytest.raises(StudyError) as caught:
        see(study)
    (line,) = str(caught.value).splitlines()
    return line


def test_plan_and_report_say_which_folder_is_which_part(capsys: pytest.CaptureFixture[str]) -> None:
    images("photos/Training")
    images("photos/valid", each=2)
    written()
    assert main(["plan", "study.yaml", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    parts = "training: Training/, validation: cut from Training/, test: valid/"
    assert facts["data"] == {
        "name": "photos", "images": {"train": 22, "val": 2, "test": 4}, "folders": parts,
    }  # fmt: skip
    assert facts["time"]["seconds"] > 0
    assert main(["plan", "study.yaml"]) == 0
    assert parts in " ".join(capsys.readouterr().out.split())
    made_up.run(see(load_study("study.yaml")), lambda entry: made_up.complete(0.5))
    results = Results.read(load_study("study.yaml"))
    assert f"; photos ({parts}), split 0;" in summary.footer(results)


@pytest.mark.parametrize(
    ("data", "column"),
    [
        ("{imagefolder: photos, val: 0.2}", 21),
        ("{name: SVHN, root: photos}", 26),
        ("{name: nowhere_for_tests:images}", 14),
    ],
)
def test_what_is_wrong_with_data_is_said_where_they_are_named(data: str, column: int) -> None:
    study = written(STUDY.replace("{imagefolder: photos, image_size: 16}", data))
    assert refused(study).startswith(f"study.yaml:3:{column}: no ")
