"""`sret-search evaluate`: the accuracy of a model by its name, and one line for what is wrong."""

import itertools
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sret_search.__main__ import main
from sret_search.architecture import NLL, Architecture, Loop, Residual, Stage
from sret_search.commands.early_exits import _where
from sret_search.job import Data
from sret_search.model import SReT, rerun, resize, save, with_int8_weights
from sret_search.training import pretrained
from sret_search.training.augment import normalize
from sret_search.training.data import load

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
    stages=(Stage(8, 2, unique=2, loops=2),), nll=NLL("block"), residual=Residual("scaled"),
)  # fmt: skip
PHOTOS = replace(TINY, image_size=16, in_channels=3, classes=2)
STUDY = """\
study: digits
space: space.yaml
data: {split_seed: 3, val: 0.3}
recipe: {epochs: 1}
"""
DIGITS = "{name: digits}"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A model of the digits in tiny.safetensors, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return _saved("tiny", TINY)


def _saved(name, architecture):
    torch.manual_seed(0)
    model = SReT(architecture).eval()
    save(model, f"{name}.safetensors")
    return model


@pytest.fixture
def photos(tmp_path):
    """A folder of one folder a class, of images of many sizes."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(10):
            image = rng.integers(0, 256, (20 + i, 30, 3), np.uint8)
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{i}.png")


def _json(capsys, *arguments):
    assert main(["evaluate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def _expected(model, data, part="test"):
    """Accuracy and loss of all images at once."""
    split = load(data)
    images, labels = next(getattr(split, part).batches([torch.arange(len(getattr(split, part)))]))
    with torch.inference_mode():
        logits = model(normalize(images, split.mean, split.std))
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    return accuracy, nn.functional.cross_entropy(logits, labels).item()


def _is(facts, model, data, part="test"):
    accuracy, loss = _expected(model, data, part)
    assert facts["accuracy"] == pytest.approx(accuracy)
    assert facts["loss"] == pytest.approx(loss, rel=1e-5)


def test_the_test_part_is_evaluated(tiny, capsys):
    facts = _json(capsys, "tiny.safetensors", "--data", DIGITS, "--batch", "50")
    _is(facts, tiny, Data())
    p, n = facts["accuracy"], facts["images"]
    assert n == Data().sizes[2]
    assert facts["accuracy_standard_error"] == pytest.approx(math.sqrt(p * (1 - p) / n))
    assert facts["seconds"] > 0
    shown = ("model", "data", "part", "loops", "executions", "resolution")
    assert [facts[key] for key in shown] == ["tiny.safetensors", DIGITS, "test", 2, 4, 8]


def test_a_study_file_gives_its_data_and_a_part_is_chosen(tiny, tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "space.yaml").write_text("architecture: sret_digits\n")
    data = Data(split_seed=3, val=0.3)
    facts = _json(capsys, "tiny.safetensors", "--data", "study.yaml", "--part", "val")
    assert facts["images"] == data.sizes[1]
    _is(facts, tiny, data, "val")


def test_the_same_weights_run_at_other_loops(tiny, capsys):
    facts = _json(capsys, "tiny.safetensors", "--data", DIGITS, "--loops", "7")
    assert (facts["loops"], facts["executions"]) == (7, 14)
    _is(facts, rerun(tiny, TINY.at_loops(7)), Data())


def test_images_follow_the_resolution(tiny, capsys):
    facts = _json(capsys, "tiny.safetensors", "--data", DIGITS, "--resolution", "12")
    assert facts["resolution"] == 12
    _is(facts, resize(tiny, 12), Data(image_size=12))


def test_own_images_are_resized_to_what_the_model_takes(tiny, photos, capsys):
    model = _saved("photos", PHOTOS)
    facts = _json(capsys, "photos.safetensors", "--data", "{imagefolder: photos, image_size: 99}")
    assert facts["resolution"] == 16
    _is(facts, model, Data(imagefolder="photos", image_size=16))


def test_a_random_permutation_is_drawn_from_the_seed(tiny, capsys):
    stages = (replace(TINY.stages[0], groups=(4, 4)),)
    _saved("random", replace(TINY, stages=stages, permutation="official"))
    seeds = ("0", "0", "1")
    losses = [
        _json(capsys, "random.safetensors", "--data", DIGITS, "--seed", seed)["loss"]
        for seed in seeds
    ]
    assert losses[0] == losses[1] != losses[2]


def _loops(model):
    """Logits of the test images after each loop of the second block, the states, and the labels."""
    split = load(Data())
    images, labels = next(split.test.batches([torch.arange(len(split.test))]))
    images = normalize(images, split.mean, split.std)
    states = []
    for block in model.stages[0].blocks:
        block.register_forward_pre_hook(lambda module, args: states.append(args[0]))
    model.stages[0].register_forward_hook(lambda module, args, out: states.append(out.x))
    with torch.no_grad():
        model(images)
        states = states[4:]  # the first three enter the first block
        logits = torch.stack([model.head(model.norm(z.mean(1))) for z in states])
    return logits, states, labels


def _leaves(scores, threshold, logits, labels):
    """Accuracy, mean executions, and the images that left, one image after the other."""
    left, right = [0, 0, 0], 0
    for i, label in enumerate(labels.tolist()):
        loop = next((loop for loop in (0, 1) if scores[loop, i] <= threshold), 2)
        left[loop] += 1
        right += logits[loop, i].argmax().item() == label
    executions = sum(count * end for count, end in zip(left, (4, 5, 6), strict=True))
    return right / len(labels), executions / len(labels), left


@pytest.mark.parametrize("score", ["entropy", "distance"])
def test_images_leave_where_the_score_is_small(score, tiny, capsys):
    model = rerun(tiny, TINY.at_loops(3))
    logits, states, labels = _loops(model)
    if score == "entropy":
        scores = torch.distributions.Categorical(logits=logits).entropy()
    else:
        means = [z.mean(1) for z in states]
        updates = [(b - a).norm(dim=1) / a.norm(dim=1) for a, b in itertools.pairwise(means)]
        scores = torch.stack([torch.full_like(updates[0], math.inf), *updates])
    middle = scores[1].median().item() * (1 + 1e-5)
    text = f"{score}:{middle},0"
    options = ["--data", DIGITS, "--batch", "100", "--loops", "3", "--exit", text]
    facts = _json(capsys, "tiny.safetensors", *options)
    _is(facts, model, Data())
    exits = facts["exits"]
    assert (exits["score"], exits["executions"]) == (score, [4, 5, 6])
    accuracies = (logits.argmax(2) == labels).double().mean(1).tolist()
    assert exits["accuracies"] == pytest.approx(accuracies)
    assert exits["accuracies"][-1] == facts["accuracy"]
    never, half = exits["thresholds"]
    assert (never["threshold"], never["left"]) == (0, [0, 0, facts["images"]])
    assert (never["accuracy"], never["executions"]) == (facts["accuracy"], 6)
    found = half["accuracy"], half["executions"], half["left"]
    wanted = _leaves(scores, middle, logits, labels)
    assert found == (pytest.approx(wanted[0]), pytest.approx(wanted[1]), wanted[2])
    assert 100 < half["left"][0] + half["left"][1] < 300


def test_exits_are_read_at_other_loops_and_in_a_table(tiny, capsys):
    deep = ["tiny.safetensors", "--data", DIGITS, "--loops", "9"]
    facts = _json(capsys, *deep, "--exit", "distance:100")
    assert facts["exits"]["executions"] == list(range(10, 19))
    assert facts["exits"]["thresholds"][0]["left"] == [0, facts["images"]] + [0] * 7
    assert main(["evaluate", *deep, "--exit", "distance:100"]) == 0
    out = capsys.readouterr().out
    assert "images leave at a small distance" in out
    assert f"{facts['images']:,} at 11" in out
    assert "11.0" in out


def test_where_many_loops_are_left_quantiles_stand_in_the_table():
    assert _where([2, 4, 6], [0, 1200, 3]) == "1,200 at 4, 3 at 6"
    ends, left = list(range(1, 101)), [1] * 100
    assert _where(ends, left) == "10 % by 10, 50 % by 50, 90 % by 90, 100 % by 100"


def test_weights_in_int8_are_evaluated_at_any_loops(tiny, capsys):
    arguments = ["tiny.safetensors", "--data", DIGITS, "--precision", "int8"]
    facts = _json(capsys, *arguments)
    rounded = with_int8_weights(tiny)
    _is(facts, rounded, Data())
    assert facts["precision"] == "int8"
    whole = _json(capsys, "tiny.safetensors", "--data", DIGITS)
    assert (whole["precision"], whole["exits"]) == ("float32", None)
    assert whole["loss"] != facts["loss"]
    deep = _json(capsys, *arguments, "--loops", "7")
    _is(deep, rerun(rounded, TINY.at_loops(7)), Data())


@pytest.mark.parametrize(
    ("rule", "fragment"),
    [
        ("entropi:0.1", "unknown score 'entropi'; entropy or distance is needed"),
        ("entropy", "a threshold is a number of at least 0, but got ''; entropy:0.1,0.3 would do"),
        ("distance:0.1,-1", "but got '-1'"),
        ("distance:nan", "but got 'nan'"),
    ],
)
def test_a_wrong_rule_of_exits_is_said(rule, fragment, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "none", "--data", DIGITS, "--exit", rule])
    assert fragment in capsys.readouterr().err


def test_a_table_shows_the_accuracy(tiny, capsys):
    assert main(["evaluate", "tiny.safetensors", "--data", DIGITS]) == 0
    accuracy = 100 * _expected(tiny, Data())[0]
    out = capsys.readouterr().out
    for fragment in ("tiny.safetensors", f"{accuracy:.2f} ± ", "executions", "8 pixels"):
        assert fragment in out


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["none.safetensors", "--data", DIGITS], "none.safetensors: no such file or folder"),
        (["sret_tt:a.pth", "--data", DIGITS], "unknown variant 'sret_tt'; did you mean sret_t?"),
        (["tiny.safetensors", "--data", "none.yaml"], "none.yaml: no such file"),
        (["tiny.safetensors", "--data", "{nme: digits}"], "--data: unknown key nme; did you mean"),
        (["tiny.safetensors", "--data", "{name: digit}"], "--data: unknown data set 'digit'"),
        (["tiny.safetensors", "--data", "{val: many}"], "--data: a number is needed"),
        (["tiny.safetensors", "--data", "{name: digits"], "--data: not valid YAML: "),
        (["tiny.safetensors", "--data", "{name: &a [*a]}"], "--data: an alias refers to a value that contains it"),
        (["tiny.safetensors", "--data", "{imagefolder: none}"], "no folder of images at "),
        (["tiny.safetensors", "--data", "{imagefolder: photos}"], "tiny.safetensors does not fit: "),
        (["photos.safetensors", "--data", "{imagefolder: broken}"], "cannot read "),
        (["once.safetensors", "--data", DIGITS, "--loops", "3"], "no block of once.safetensors loops"),
        (
            ["once.safetensors", "--data", DIGITS, "--exit", "entropy:1"],
            "--exit: the block of once.safetensors that runs last does not loop",
        ),
        (
            ["mean.safetensors", "--data", DIGITS, "--exit", "entropy:1"],
            "--exit: the head of mean.safetensors reads all loops together",
        ),
        (
            ["owned.safetensors", "--data", DIGITS, "--loops", "3"],
            "each loop of owned.safetensors has an NLL, so it runs at 2 loops only",
        ),
        (
            ["sliced.safetensors", "--data", DIGITS, "--resolution", "10"],
            "sliced.safetensors cannot run with these options: stage 0: 25 tokens cannot be cut into 4 groups",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(arguments, fragment, tiny, photos, capsys):
    shutil.copytree("photos", "broken")
    for file in Path("broken").rglob("*.png"):
        file.write_bytes(b"no image")
    _saved("photos", PHOTOS)
    _saved("once", TINY.at_loops(1))
    _saved("mean", replace(TINY, loop=Loop(readout="mean")))
    _saved("owned", replace(TINY, nll=NLL("execution")))
    _saved("sliced", replace(TINY, stages=(replace(TINY.stages[0], groups=(4,)),)))
    assert main(["evaluate", *arguments]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert fragment in written.err
    assert len(written.err.splitlines()) == 1


@pytest.mark.parametrize(
    "option",
    [["--loops", "2"], ["--resolution", "64"], ["--exit", "entropy:1"], ["--precision", "int8"]],
)
def test_other_models_are_evaluated_as_they_are(option, monkeypatch, capsys):
    models = pretrained.torchvision.models
    monkeypatch.setattr(models, "get_model", lambda name, weights: nn.Linear(2, 2))
    assert main(["evaluate", "torchvision:resnet18", "--data", DIGITS, *option]) == 2
    error = capsys.readouterr().err
    assert (
        error == "--loops, --resolution, --exit and --precision int8 are for SReT,"
        " but torchvision:resnet18 is not an SReT\n"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said_in_one_line(capsys):
    assert main(["evaluate", "sret_t:none", "--data", DIGITS, "--device", "cuda"]) == 2
    assert capsys.readouterr().err == "--device cuda: torch sees no GPU here\n"


@pytest.mark.parametrize("option", ["--batch", "--loops", "--resolution"])
def test_numbers_are_positive(option, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "none", "--data", DIGITS, option, "0"])
    assert "at least 1 is needed" in capsys.readouterr().err
