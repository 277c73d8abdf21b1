"""No test image chooses or trains: what a model was trained on is known wherever it goes."""

import json
from dataclasses import replace
from pathlib import Path

import made_up
import numpy as np
import pytest
import torch

from sret_search.__main__ import main
from sret_search.architecture import Architecture, Stage
from sret_search.artifacts.names import RESULT, WEIGHTS
from sret_search.job import Data, Distill, Job, Provenance, Recipe, Seen
from sret_search.model import SReT, load, save
from sret_search.planning.user_inputs import check_inputs
from sret_search.study import StudyError
from sret_search.training.data import DataError, overlap
from sret_search.training.data import load as load_data
from sret_search.training.pretrained import PretrainedError, provenance
from sret_search.training.train import train
from sret_search.training.trainer import Trainer

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(8, 2, loops=2, groups=(4, 2)),), permutation="official",
)  # fmt: skip
SHORT = Recipe(steps=3, batch_size=64, lr=1e-2, warmup=0)
SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages: [{width: 8, heads: 2, loops: 2, groups: [4, 2]}]
  permutation: official
"""
IN_THIRDS = Data(split_seed=2, folds=3)
GRIDS = Data("shapes:grids")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trials by name, each of another cut of the digits."""
    root = tmp_path_factory.mktemp("trials")
    cuts = {"plain": Data(), "whole": Data()}
    cuts |= {f"fold{k}": replace(IN_THIRDS, fold=k) for k in range(3)}
    for seed, (name, data) in enumerate(cuts.items()):
        job = Job(TINY, SHORT, data, seed, whole=name == "whole")
        train(job, root / name / "attempt-1", lambda metrics: None)
    return root


@pytest.fixture(autouse=True)
def here(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("kept").symlink_to(trained)


def evaluated(capsys, *arguments):
    assert main(["evaluate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def shared(theirs, ours, part, whole=False):
    """Images of a part that another cut trains on, counted in Python's own way."""
    split, other = load_data(ours), load_data(theirs)
    known = set(other.train.index.tolist()) | (set(other.val.index.tolist()) if whole else set())
    return len(known & set(getattr(split, part).index.tolist()))


def says(path, *seen):
    """A model file that says that its weights saw these images."""
    save(SReT(TINY), path, Provenance(seen, "float32", 0).to_dict())
    return path


# Evaluating.


@pytest.mark.parametrize("name", ["plain", "fold0", "fold1", "fold2"])
@pytest.mark.parametrize("data", ["none", "study"])
def test_a_trial_is_evaluated_to_its_own_test_accuracy(trained, name, data, capsys):
    text = "{split_seed: 2, folds: 3}" if "fold" in name else "{name: digits}"
    made_up.written(SPACE, f"study: a\nspace: space.yaml\ndata: {text}\nsearch: {{seeds: 3}}\n")
    given = ["--data", "study.yaml"] if data == "study" else []
    result = json.loads((trained / name / "attempt-1" / RESULT).read_text())
    for model in (f"kept/{name}", f"kept/{name}/attempt-1/{WEIGHTS}"):
        facts = evaluated(capsys, model, *given)
        assert facts["accuracy"] == result["test_accuracy"]
        assert facts["loss"] == pytest.approx(result["test_loss"], rel=1e-6)
        assert facts["fold"] == (int(name[-1]) if "fold" in name else None)
        assert facts["trained_on"] == 0


@pytest.mark.parametrize(
    ("name", "data", "part", "told"),
    [
        ("plain", Data(split_seed=1), "test", "split_seed 0 there, 1 here"),
        ("plain", Data(split_seed=1), "val", "split_seed 0 there, 1 here"),
        ("plain", Data(order="contiguous"), "test", "order shuffled there, contiguous here"),
        ("fold1", Data(split_seed=2, folds=4), "test", "fold 1 of 3 there, 0 of 4 here"),
        ("whole", Data(), "val", "it was trained on train+val"),
    ],
)  # fmt: skip
def test_images_that_were_trained_on_are_counted(name, data, part, told, capsys):
    changed = {k: v for k, v in data.to_dict().items() if v != Data().to_dict().get(k)}
    given = ["--data", json.dumps(changed or {"name": "digits"}), "--part", part]
    facts = evaluated(capsys, f"kept/{name}", *given)
    own = provenance(f"kept/{name}").data
    assert facts["trained_on"] == shared(own, data, part, whole=name == "whole") > 0
    assert main(["evaluate", f"kept/{name}", *given]) == 0
    said = f"{facts['trained_on']} of these {facts['images']} images were trained on ({told})"
    assert said in capsys.readouterr().out


def test_a_file_that_says_nothing_is_said_to_do_so(capsys):
    save(SReT(TINY), "bare.safetensors")
    facts = evaluated(capsys, "bare.safetensors", "--data", "{name: digits}")
    assert facts["trained_on"] is None
    assert main(["evaluate", "bare.safetensors", "--data", "{name: digits}"]) == 0
    assert "does not name its training images" in capsys.readouterr().out


def test_a_header_that_cannot_be_read_is_one_line(capsys):
    save(SReT(TINY), "odd.safetensors", {"seen": [{"data": {"name": "digit"}, "whole": False}]})
    assert main(["evaluate", "odd.safetensors"]) == 2
    assert "odd.safetensors cannot be loaded: unknown data set 'digit'" in capsys.readouterr().err


# Starting from a model, or learning from it.


def written(recipe, data="{name: digits}", more="", axes=""):
    text = f"study: a\nspace: space.yaml\ndata: {data}\nrecipe: {recipe}\n{more}"
    return made_up.written(SPACE + axes, text)


TAUGHT = "{{distill: {{teacher: {}}}}}"
BEGUN = "{{init: {}}}"


@pytest.mark.parametrize("recipe", [BEGUN, TAUGHT], ids=["init", "teacher"])
@pytest.mark.parametrize("name", ["plain", f"plain/attempt-1/{WEIGHTS}"])
def test_a_model_of_another_split_is_refused(recipe, name):
    own, other = Data(), Data(split_seed=1)
    test, val = (shared(own, other, part) for part in ("test", "val"))
    recipe = recipe.format(f"kept/{name}")
    study = written(recipe, "{split_seed: 1}")
    with pytest.raises(StudyError) as refused:
        check_inputs(study)
    column = f"recipe: {recipe}".index("kept") + 1
    assert str(refused.value) == (
        f"study.yaml:4:{column}: kept/{name} was trained on {test} of the test images and {val}"
        " of the validation images here (split_seed 0 there, 1 here)"
    )
    recipe = study.file.recipe
    job = Job(TINY, recipe, other, seed=0)
    with pytest.raises(PretrainedError, match="split_seed 0 there, 1 here"):
        Trainer(job, Path("kept"))


@pytest.mark.parametrize("recipe", [BEGUN, TAUGHT], ids=["init", "teacher"])
@pytest.mark.parametrize(
    ("name", "data", "more"),
    [
        ("plain", "{name: digits}", "search: {seeds: 3}\nconfirm: {seeds: 2, on: train+val}"),
        ("plain", "{name: digits, val: 0.05}", ""),  # its images of training are ours, too
        ("fold1", "{split_seed: 2, folds: 3, fold: 1}", ""),
        ("bare.safetensors", "{split_seed: 1}", ""),
        ("grids.safetensors", "{split_seed: 1}", ""),
    ],
)
def test_a_model_that_saw_no_image_of_validation_or_test_is_fine(recipe, name, data, more):
    save(SReT(TINY), "bare.safetensors")
    says("grids.safetensors", Seen(GRIDS))
    check_inputs(written(recipe.format(name if "." in name else f"kept/{name}"), data, more))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            "search: {seeds: 2}",
            "fold 1 of 3 there, 2 of 3 here); a study with folds needs a model for each fold",
        ),
        (
            "confirm: {seeds: 2}",
            "fold 1 of 3 there, 2 of 3 here); a study with folds needs a model for each fold",
        ),
    ],
)
@pytest.mark.parametrize("recipe", [BEGUN, TAUGHT], ids=["init", "teacher"])
def test_one_trial_does_not_stand_for_all_folds(recipe, more, told):
    data = "{split_seed: 2, folds: 3, fold: 1}"
    with pytest.raises(StudyError) as refused:
        check_inputs(written(recipe.format("kept/fold1"), data, more))
    assert told in str(refused.value)
    with pytest.raises(StudyError, match=r"\(fold 0 of 3 there, 1 of 3 here\)$"):
        check_inputs(written(recipe.format("kept/fold0"), data))


def test_a_trial_of_the_study_itself_is_of_one_fold():
    path = Path("runs/a/trials/00000/attempt-1")
    path.mkdir(parents=True)
    save(SReT(TINY), path / WEIGHTS)  # as an earlier program wrote it
    data = "{split_seed: 2, folds: 3}"
    check_inputs(written(BEGUN.format("trial 0"), data))
    with pytest.raises(StudyError, match=r"trial 0 was trained on 599 of the test images"):
        check_inputs(written(BEGUN.format("trial 0"), data, "search: {seeds: 3}"))


def test_validation_images_that_were_trained_on_are_refused():
    with pytest.raises(StudyError, match=r"0 of the test images and 180 of .*on train\+val\)"):
        check_inputs(written(BEGUN.format("kept/whole")))


def test_an_axis_is_refused_where_it_stands():
    axes = "axes:\n  recipe.distill: {choices: [null, {teacher: kept/plain}]}\n"
    with pytest.raises(StudyError, match=r"^space.yaml:9:36: kept/plain was trained on "):
        check_inputs(written("{epochs: 1}", "{split_seed: 1}", axes=axes))


def test_what_a_model_began_with_counts_too(tmp_path, capsys):
    """Weights that went over another data set come back to the first."""
    says("back.safetensors", Seen(GRIDS), Seen(Data()))
    with pytest.raises(StudyError, match="split_seed 0 there, 1 here"):
        check_inputs(written(BEGUN.format("back.safetensors"), "{split_seed: 1}"))
    facts = evaluated(capsys, "back.safetensors", "--data", "{split_seed: 1}")
    assert facts["trained_on"] == shared(Data(), Data(split_seed=1), "test")


def test_a_training_hands_on_what_it_began_with(tmp_path):
    says("grids.safetensors", Seen(GRIDS))
    says("wise.safetensors", Seen(Data()), Seen(replace(GRIDS, split_seed=4)))
    recipe = replace(SHORT, init="grids.safetensors", distill=Distill("wise.safetensors"))
    job = Job(TINY, recipe, Data(), seed=0)
    train(job, tmp_path / "first/attempt-1", lambda metrics: None)
    seen = Seen(Data()), Seen(GRIDS), Seen(replace(GRIDS, split_seed=4))
    assert provenance("first").seen == seen
    # As a checkpoint does, from which this training, or another one, goes on.
    state = Trainer(job, tmp_path).state_dict()
    resumed, later = Trainer(job, tmp_path), Trainer(replace(job, recipe=SHORT), tmp_path)
    resumed.load_state_dict(state)
    later.begin_from(state)
    assert resumed.provenance.seen == later.provenance.seen == seen


# Counting.


def test_a_test_part_of_its_own_was_trained_on_by_nobody():
    sizes, cifar = (50_000, 0, 10_000), Data("CIFAR10", root="there")
    ours = Data("cifar10", root="here", split_seed=1)
    assert overlap([Seen(cifar, whole=True)], ours, "test", sizes) == 0
    assert 4000 < overlap([Seen(cifar)], ours, "val", sizes) < 5000
    assert overlap([Seen(cifar, whole=True)], ours, "val", sizes) == 5000


def test_images_of_three_parts_of_their_own_are_never_dealt_anew():
    theirs, ours = Data(imagefolder="photos"), Data(imagefolder="photos", split_seed=1)
    sizes = 60, 20, 30
    assert [overlap([Seen(theirs)], ours, part, sizes) for part in ("val", "test")] == [0, 0]
    assert overlap([Seen(theirs, whole=True)], ours, "val", sizes) == 20
    assert overlap([Seen(theirs)], replace(ours, imagefolder="pictures"), "val", sizes) == 0


def test_other_options_of_a_function_cannot_be_compared():
    theirs, ours = (Data("shapes:rings", options={"seed": seed}) for seed in (1, 2))
    with pytest.raises(DataError, match="whether these are the same images cannot be known"):
        overlap([Seen(theirs)], ours, "test", (9, 0, 0))


def test_the_same_model_has_the_same_bytes():
    model, about = SReT(TINY), Provenance((Seen(Data()),), "bf16", 3)
    contents = set()
    for number in range(20):
        save(model, f"{number}.safetensors", about.to_dict())
        contents.add(Path(f"{number}.safetensors").read_bytes())
    assert len(contents) == 1
    assert provenance("0.safetensors") == about
    state = load("0.safetensors").state_dict()
    assert all(np.array_equal(state[name], value) for name, value in model.state_dict().items())
