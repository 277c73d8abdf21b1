"""A study's own data, as they are looked at before anything is trained."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import made_up
import pytest
from PIL import Image

from sret_search.__main__ import main
from sret_search.planning.user_inputs import check_inputs
from sret_search.reporting import summary
from sret_search.reporting.results import Results
from sret_search.study import Study, StudyError, load_study
from sret_search.study.description import StudyDescription
from sret_search.training import data, train
from sret_search.trials.compatibility import FORMAT
from sret_search.trials.ledger import Ledger

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
    data.load.cache_clear()


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
        check_inputs(study)
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
    made_up.run(check_inputs(load_study("study.yaml")), lambda entry: made_up.complete(0.5))
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


# Data that change between two runs, or while one is under way.


def _ran(text: str = STUDY) -> Study:
    return made_up.run(check_inputs(written(text)), lambda entry: made_up.complete(0.5))


def _goes_on() -> Study:
    data.load.cache_clear()
    study = check_inputs(load_study("study.yaml"))
    Ledger.create(study).close()
    return study


def _changed() -> str:
    with pytest.raises(StudyError) as caught:
        _goes_on()
    (line,) = str(caught.value).splitlines()
    start = "the data have changed since the study ran: "
    assert line.endswith("or start anew with --fresh, which keeps the old study aside")
    place, _, rest = line.partition(start)
    assert place.startswith("study.yaml:3:")
    return rest.partition("; images that one trial was")[0]


def test_an_image_renamed_added_removed_or_replaced_is_noticed() -> None:
    images("photos")
    _ran()
    _goes_on()
    ant, bee = Path("photos/ant"), Path("photos/bee")
    (ant / "3.png").rename(ant / "99.png")
    assert _changed() == "ant/ has other images than it had, 12 as before"
    (bee / "3.png").rename(bee / "99.png")
    (bee / "4.png").rename("4.png")
    assert _changed() == (
        "ant/ has other images than it had, 12 as before; bee/ had 12 images and has 11"
    )
    Path("4.png").rename(bee / "4.png")
    (bee / "99.png").rename(bee / "3.png")
    (ant / "99.png").rename(ant / "3.png")
    _goes_on()
    Image.new("RGB", (9, 7)).save(ant / "3.png")
    assert _changed() == "ant/ has other images than it had, 12 as before"
    (ant / "3.png").rename(bee / "77.png")
    assert _changed() == "ant/ had 12 images and has 11; bee/ had 12 images and has 13"


def test_changed_parts_are_told_by_their_folders() -> None:
    images("photos/train")
    images("photos/test", each=2)
    _ran()
    Path("photos/train/ant/3.png").rename("photos/test/ant/3.png")
    assert _changed() == "test/ant/ had 2 images and has 3; train/ant/ had 12 images and has 11"


def test_data_may_move_as_a_whole() -> None:
    images("photos")
    study = _ran()
    assert study.contents is not None
    Path("photos").rename("pictures")
    Path("photos").symlink_to("pictures")
    _goes_on()


def test_an_edit_of_the_study_file_is_told_as_such() -> None:
    images("photos")
    images("others", each=3)
    _ran()
    Path("study.yaml").write_text(STUDY.replace("photos", "others"))
    with pytest.raises(StudyError, match=r"data was .* and is now .*; undo the edit"):
        _goes_on()


def test_a_ledger_of_an_earlier_program_takes_the_data_that_it_sees_first() -> None:
    images("photos")
    study = _ran()
    ledger = Ledger.create(study)
    plain = ledger.description.to_json()
    assert plain["format"] == FORMAT
    del plain["contents"]
    ledger._remember("study", replace(ledger._attributes, description=StudyDescription(plain)))
    ledger.close()
    Path("photos/ant/3.png").rename("photos/ant/99.png")
    assert Results.read(study).study.contents is None
    _goes_on()
    Path("photos/ant/99.png").rename("photos/ant/3.png")
    assert _changed() == "ant/ has other images than it had, 12 as before"


MODULE = """\
import numpy as np
from pathlib import Path
from PIL import Image

def arrays(dtype="uint8"):
    values = np.array(Path("values.txt").read_text().split(), int)
    images = np.broadcast_to(values[:, None, None, None] % 256, (len(values), 3, 16, 16))
    return {"train": ((images / (255 if dtype != "uint8" else 1)).astype(dtype), values // 256)}

class Pictures:
    def __init__(self):
        self.samples = [(str(f), n % 2) for n, f in enumerate(sorted(Path("photos/ant").iterdir()))]
        self.targets = [label for _, label in self.samples]
    def __len__(self):
        return len(self.samples)
    def __getitem__(self, number):
        return Image.open(self.samples[number][0]).convert("RGB"), self.targets[number]

def pictures():
    return {"train": Pictures()}
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("data_for_tests.py").write_text(MODULE)
    yield
    sys.modules.pop("data_for_tests", None)


@pytest.mark.usefixtures("module")
def test_what_a_function_returns_is_held_against_what_it_returned() -> None:
    def values(*changed: int) -> None:
        Path("values.txt").write_text(" ".join(map(str, [*range(240, 270), *changed])))

    values(1, 256)
    _ran(STUDY.replace("imagefolder: photos", "name: data_for_tests:arrays"))
    _goes_on()
    values(1, 257)
    assert _changed() == "the training part has other images than it had, 32 as before"
    values(1)
    assert _changed() == "the training part had 32 images and has 31"


@pytest.mark.usefixtures("module")
def test_files_behind_the_pictures_of_a_function_are_looked_at() -> None:
    images("photos", classes=("ant",))
    _ran(STUDY.replace("imagefolder: photos", "name: data_for_tests:pictures"))
    Path("photos/ant/3.png").rename("photos/ant/33.png")
    assert _changed() == "the training part has other images than it had, 12 as before"


def test_a_training_begins_on_no_other_data_than_its_study(tmp_path: Path) -> None:
    images("photos")
    study = check_inputs(written())
    candidate = next(study.points.at_random())
    job = study.job(candidate, 0, "cpu")
    Path("photos/ant/3.png").rename("photos/ant/99.png")
    data.load.cache_clear()
    attempt = tmp_path / "00000" / "attempt-1"
    arguments = (job, attempt, lambda metrics: None)
    with pytest.raises(data.DataError) as caught:
        train.train(*arguments, contents=study.contents)
    assert str(caught.value) == (
        f"{tmp_path}/photos has changed since the study began: ant/ has other images than it had,"
        " 12 as before; put it back as it was, or start anew with --fresh, which keeps the old"
        " study aside"
    )
    assert [path.name for path in attempt.iterdir()] == []
    Path("photos/ant/99.png").rename("photos/ant/3.png")
    data.load.cache_clear()
    assert train.train(*arguments, contents=study.contents).to_dict()["state"] == "complete"


def test_a_machine_without_semaphores_is_told_before_photographs_are_trained_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images("photos")
    check_inputs(written())
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(data, "no_workers", lambda: "[Errno 38] Function not implemented")
    check_inputs(written())
    (line,) = capsys.readouterr().err.splitlines()
    assert "no semaphore can be made ([Errno 38] Function not implemented)" in line


def test_photographs_are_seen_as_large_as_the_architecture_takes_them() -> None:
    images("photos")
    bare = STUDY.replace(", image_size: 16", "")
    other = written(bare.replace("imagefolder: photos", "name: SVHN, root: photos"))
    assert other.file.data.image_size is None
    study = check_inputs(written(bare))
    assert study.file.data.image_size == 16
    assert study.job(next(study.points.at_random()), 0, "cpu").data.image_size == 16
    made_up.run(study, lambda entry: made_up.complete(0.5))
    assert Results.read(load_study("study.yaml")).edited == []
    large = STUDY.replace("image_size: 16", "image_size: 32")
    assert refused(written(large)) == (
        f"study.yaml:3:41: {Path.cwd()}/photos has 32 pixels a side, but the architecture has 16;"
        " `data.image_size: 16` gives such images"
    )


def test_jobs_of_the_usual_size_keep_their_names() -> None:
    """Those of earlier versions say nothing of it."""
    space = SPACE.replace("image_size: 16", "image_size: 224")
    study = made_up.written(space, STUDY.replace(", image_size: 16", ""))
    assert study.file.data.image_size is None


def test_a_model_is_evaluated_on_no_other_data_than_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images("photos")
    study = check_inputs(written())
    job = study.job(next(study.points.at_random()), 0, "cpu")
    train.train(job, tmp_path / "attempt-1", lambda metrics: None)
    model = "attempt-1/model.safetensors"
    assert main(["evaluate", model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained_on"] == 0
    Path("photos/ant/3.png").rename("photos/ant/99.png")
    data.load.cache_clear()
    assert main(["evaluate", model]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "photos has changed since it was trained on: whether these are the same images cannot be"
        " known"
    ]
