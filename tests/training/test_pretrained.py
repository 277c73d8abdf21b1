"""A model by its name: every way to name one, and one line for what cannot be had."""

from dataclasses import replace
from urllib.error import URLError

import pytest
import torch
from torch import nn

from sret_search.architecture import NLL, Architecture, Relax, Residual, Stage
from sret_search.architecture.variants import VARIANTS
from sret_search.artifacts.names import WEIGHTS
from sret_search.model import SReT, resize, save
from sret_search.model.official import official_keys
from sret_search.training import pretrained
from sret_search.training.pretrained import PretrainedError, load_model, start_from

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=5, stem_strides=(1, 2),
    stages=(Stage(8, 2, unique=2, loops=2, groups=(4, 2)), Stage(16, 2)),
    nll=NLL("block"), residual=Residual("scaled"),
)  # fmt: skip


def _model(architecture=TINY, seed=0):
    torch.manual_seed(seed)
    return SReT(architecture)


def _saved(path, architecture=TINY, seed=1):
    model = _model(architecture, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(model, path)
    return model


def _same(a, b):
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def _refused(name):
    with pytest.raises(PretrainedError) as refused:
        load_model(str(name))
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def test_a_file_is_loaded_for_evaluation(tmp_path):
    model = _saved(tmp_path / "tiny.safetensors")
    loaded = load_model(str(tmp_path / "tiny.safetensors"))
    assert _same(model, loaded)
    assert not loaded.training


def test_weights_of_another_precision_take_images_of_float32(tmp_path):
    save(_model().double(), tmp_path / "tiny.safetensors")
    loaded = load_model(str(tmp_path / "tiny.safetensors"))
    assert loaded(torch.zeros(1, 1, 8, 8)).dtype == torch.float32


def test_of_a_trial_the_newest_attempt_with_weights_counts(tmp_path):
    models = {n: _saved(tmp_path / f"attempt-{n}" / WEIGHTS, seed=n) for n in (9, 10)}
    (tmp_path / "attempt-11").mkdir()
    assert _same(load_model(str(tmp_path)), models[10])
    assert _same(load_model(str(tmp_path / "attempt-9")), models[9])


def test_an_official_checkpoint_is_named_after_its_variant(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    model = _model()
    state = {
        key: value
        for name, value in model.state_dict().items()
        for key in official_keys(name, TINY)
    }
    torch.save({"model": state}, tmp_path / "tiny.pth")
    loaded = load_model(f"tiny:{tmp_path / 'tiny.pth'}")
    assert _same(model, loaded)
    assert not loaded.training


@pytest.fixture
def get_model(monkeypatch):
    """What stands for a download: puts a function in its place."""
    models = pretrained.torchvision.models
    return lambda function: monkeypatch.setattr(models, "get_model", function)


def test_a_model_of_torchvision_comes_with_its_best_weights(get_model, capsys):
    def downloaded(name, weights):
        assert (name, weights) == ("resnet18", "DEFAULT")
        print("Downloading")
        return nn.Linear(2, 2)

    get_model(downloaded)
    assert not load_model("torchvision:resnet18").training
    assert capsys.readouterr().out == ""


def test_a_failed_download_is_one_line(get_model):
    def offline(name, weights):
        raise URLError("Name or service not known\nand more")

    get_model(offline)
    assert "torchvision:resnet18 cannot be loaded: " in _refused("torchvision:resnet18")


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("torchvision:resnet19", "no model 'resnet19'; did you mean resnet18?"),
        ("torchvision:", "no model ''; valid: "),
        ("sret_tt:some.pth", "unknown variant 'sret_tt'; did you mean sret_t?"),
        ("sret_t:missing.pth", "missing.pth cannot be read: No such file"),
        ("sret_t:broken.pth", "broken.pth is not a checkpoint"),
        ("broken.pth", "broken.pth: name its variant, as in sret_t:broken.pth"),
        ("broken.safetensors", "broken.safetensors cannot be loaded: "),
        ("missing.safetensors", "missing.safetensors: no such file or folder"),
        ("sret_t", "sret_t: no such file or folder"),
        ("runs", "runs has no model.safetensors, and no attempt in it has one"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(name, fragment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "attempt-1").mkdir(parents=True)
    for broken in ("broken.pth", "broken.safetensors"):
        (tmp_path / broken).write_bytes(b"no weights")
    assert fragment in _refused(name)


# Starting from the weights of another model.


@pytest.fixture
def start(tmp_path):
    """A model of one architecture that started from the weights of another, and its source."""

    def started(source, architecture):
        path = tmp_path / "source.safetensors"
        theirs = _saved(path, source)
        model = _model(architecture).train()
        start_from(model, str(path))
        assert model.training
        assert model.architecture == architecture
        return model, theirs

    return started


@pytest.mark.parametrize(
    "architecture",
    [TINY, TINY.at_loops(5), replace(TINY, permutation="stride", drop_path=0.5, order="cycle")],
)
def test_what_has_no_weights_may_differ(start, architecture):
    model, source = start(TINY, architecture)
    assert _same(model, source)


def test_positions_are_interpolated_whatever_the_slices(start):
    stages = (replace(TINY.stages[0], groups=(25, 5)), TINY.stages[1])  # 4 slices do not cut 25
    model, source = start(TINY, replace(TINY, image_size=10, stages=stages))
    whole = replace(TINY, stages=tuple(replace(stage, groups=(1,)) for stage in TINY.stages))
    plain = SReT(whole)
    plain.load_state_dict(source.state_dict())
    assert _same(model, resize(plain, 10))


def test_a_head_of_other_classes_stays_as_it_was(start):
    model, source = start(TINY, replace(TINY, classes=7))
    fresh = _model(replace(TINY, classes=7)).state_dict()
    for name, value in model.state_dict().items():
        taken = fresh if name.startswith("head.") else source.state_dict()
        assert torch.equal(value, taken[name]), name


def _stage(**changes):
    return replace(TINY, stages=(replace(TINY.stages[0], **changes), TINY.stages[1]))


@pytest.mark.parametrize(
    ("architecture", "difference"),
    [
        (_stage(width=16), "stages.0.width 8 against 16"),
        (_stage(heads=1, loops=9, groups=(1,)), "stages.0.heads 2 against 1"),
        (replace(TINY, in_channels=3), "in_channels 1 against 3"),
        (replace(TINY, stem_strides=(2, 1)), "stem_strides [1, 2] against [2, 1]"),
        (replace(TINY, relax=Relax(gain=True)), "relax.gain False against True"),
        (replace(TINY, nll=NLL("stage", 0.5)), "nll.share block against stage, nll.ratio 1.0 against 0.5"),
        (replace(TINY, stages=TINY.stages[:1]), "2 stages against 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(start, architecture, difference):
    with pytest.raises(PretrainedError) as refused:
        start(TINY, architecture)
    assert str(refused.value).endswith(f"does not fit: {difference}")


def test_loops_with_weights_of_their_own_must_agree(start):
    source = replace(TINY, nll=NLL("execution"))
    with pytest.raises(PretrainedError, match=r"does not fit: stages\.0\.loops 2 against 4$"):
        start(source, source.at_loops(4))


def test_patches_must_tile_the_images(start):
    patches = replace(TINY, stem="patch", stem_strides=(4,), stages=(Stage(8, 2),))
    with pytest.raises(PretrainedError, match="does not run at 10 pixels: patches must tile"):
        start(patches, replace(TINY, image_size=10, stages=(Stage(8, 2),)))


def test_only_an_sret_can_be_started_from(get_model):
    get_model(lambda name, weights: nn.Linear(2, 2))
    with pytest.raises(PretrainedError, match="torchvision:resnet18 is not an SReT"):
        start_from(_model(), "torchvision:resnet18")


def test_torchvisions_weights_need_a_folder_to_be_kept_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", "~nobody_for_tests/weights")
    with pytest.raises(PretrainedError, match="no home folder; set TORCH_HOME to another f"):
        load_model("torchvision:resnet18")
    assert list(tmp_path.iterdir()) == []
