"""The published models give the figures of the official code (szq0214/SReT, November 2021).

The figures in reference/ were made by running that code once, in float64 and evaluation mode,
with weights and images that anyone can make again: see `_weight` and `_images`.
"""

import functools
import json
import zlib
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from sret_search.architecture import Architecture, Stage
from sret_search.architecture.variants import VARIANTS
from sret_search.cost import cost
from sret_search.model import CheckpointError, SReT, load, load_official, save
from sret_search.model.official import from_official, official_keys

torch.set_num_threads(1)

FIGURES = Path(__file__).parent / "reference"
NAMES = sorted(path.stem for path in FIGURES.glob("*.json"))


@functools.cache
def _reference(name):
    return json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))


def _weight(key, shape):
    z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape) * 0.05
    if key.endswith("running_var"):
        return 1 + np.abs(z)
    if len(shape) == 1 and (key.endswith(".weight") or ".coefficient" in key):
        return 1 + z
    return z


def _official_state(name):
    """An official state dict, shared tensors under each of their keys."""
    reference = _reference(name)
    state = {}
    for key, shape in reference["state_dict"].items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(0)
        elif key not in reference["shared"]:
            state[key] = torch.as_tensor(_weight(key, shape))
    for key, first in reference["shared"].items():
        state[key] = state[first]
    return state


def _images(side):
    return torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, side, side)))


def test_three_models_are_held_against_the_official_code():
    assert NAMES == ["sret_lt", "sret_t", "sret_t_unsliced"]


@pytest.mark.parametrize("name", NAMES)
def test_every_official_key_and_shape_is_ours(name):
    a, reference = VARIANTS[name], _reference(name)
    ours = SReT(a).state_dict()
    keys = {key: ours[weight].shape for weight in ours for key in official_keys(weight, a)}
    assert {key: list(shape) for key, shape in keys.items()} == reference["state_dict"]
    same = {
        key: keys_of[0] for w in ours for keys_of in [official_keys(w, a)] for key in keys_of[1:]
    }
    assert same == reference["shared"]


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_gradients_are_those_of_the_official_code(name, tmp_path):
    a, reference = VARIANTS[name], _reference(name)
    path = tmp_path / "official.pth"
    torch.save({"model": _official_state(name), "args": Namespace(lr=1e-3)}, path)
    model = load_official(path, name).eval()
    assert model.head.weight.dtype == torch.float64
    assert sum(p.numel() for p in model.parameters()) == reference["parameters"] == cost(a).params
    assert cost(a).macs == reference["macs_batch1"]

    images = _images(reference["image_size"])
    torch.manual_seed(0)
    with torch.no_grad():
        logits = model(images).numpy()
    near = {"rtol": 1e-9, "atol": 0}
    np.testing.assert_allclose(logits[:, :8], reference["logits_first8"], **near)
    np.testing.assert_allclose(logits.sum(1), reference["logits_sum"], **near)
    np.testing.assert_allclose(np.linalg.norm(logits, axis=1), reference["logits_norm"], **near)

    torch.manual_seed(0)
    loss = F.cross_entropy(model(images), torch.tensor([1, 3]))
    loss.backward()
    np.testing.assert_allclose(loss.item(), reference["loss"], **near)
    norms = {official_keys(n, a)[0]: p.grad.norm().item() for n, p in model.named_parameters()}
    assert norms.keys() == reference["grad_norms"].keys()
    for key, norm in norms.items():
        assert norm == pytest.approx(reference["grad_norms"][key], rel=1e-7, abs=0), key


TINY = Architecture(
    image_size=16, in_channels=3, classes=5, stem_strides=(1, 2, 2),
    stages=(Stage(8, 2, unique=2, loops=2), Stage(16, 2, unique=1, loops=2)),
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch):
    """A small published model, and an official state dict for it."""
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    torch.manual_seed(0)
    model = SReT(TINY)
    state = {
        key: value.clone()
        for name, value in model.state_dict().items()
        for key in official_keys(name, TINY)
    }
    return model, state


def _load(state, tmp_path, **options):
    torch.save({"model": state}, tmp_path / "tiny.pth")
    return load_official(tmp_path / "tiny.pth", "tiny", **options)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_dtype_of_the_file_is_kept(tiny, tmp_path, dtype):
    model, state = tiny
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    loaded = _load(state, tmp_path)
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    for name, value in loaded.state_dict().items():
        wanted = model.state_dict()[name]
        assert torch.equal(value, wanted.to(value.dtype)), name


def test_the_permutation_can_be_chosen(tiny, tmp_path):
    assert _load(tiny[1], tmp_path).architecture.permutation == "none"
    for permutation in ("none", "stride", "official"):
        loaded = _load(tiny[1], tmp_path, permutation=permutation)
        assert loaded.architecture == replace(TINY, permutation=permutation)


SHARED = "transformers.0.blocks.2.mlp.fc1.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("head.weight"), "missing head.weight"),
        (lambda s: s.pop(SHARED), f"missing {SHARED}"),
        (lambda s: s.update(extra=torch.zeros(1)), "unknown extra"),
        (
            lambda s: s.update({"norm.bias": torch.zeros(3)}),
            r"norm.bias has shape \(3,\) instead of \(16,\)",
        ),
        (
            lambda s: s[SHARED].add_(1),
            f"{SHARED} differs from transformers.0.blocks.0.mlp.fc1.weight, which it shares",
        ),
    ],
)
def test_what_does_not_fit_is_named(tiny, tmp_path, change, message):
    _, state = tiny
    change(state)
    with pytest.raises(CheckpointError, match=message):
        _load(state, tmp_path)


def test_many_misfits_are_counted(tiny):
    with pytest.raises(CheckpointError, match=r"and \d+ more$"):
        from_official({}, TINY)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"no checkpoint"), "is not a checkpoint"),
        (lambda path: torch.save({"state": {}}, path), "no state dict under the key 'model'"),
        (lambda path: torch.save([1], path), "no state dict under the key 'model'"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, write, message):
    write(tmp_path / "some.pth")
    with pytest.raises(CheckpointError, match=message):
        load_official(tmp_path / "some.pth", "sret_t")


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    torch.save({"model": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        load_official(tmp_path / "evil.pth", "sret_t")
    assert not (tmp_path / "ran").exists()


def test_an_unknown_variant_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown variant 'sret_m'; there are sret_t, "):
        load_official("some.pth", "sret_m")


def test_saving_and_loading_changes_nothing(tiny, tmp_path):
    for model in (tiny[0], tiny[0].double()):
        save(model, tmp_path / "tiny.safetensors")
        again = load(tmp_path / "tiny.safetensors")
        assert again.architecture == TINY
        assert again.state_dict().keys() == model.state_dict().keys()
        for name, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], value)
            assert again.state_dict()[name].dtype == value.dtype


def test_a_file_of_bare_weights_is_refused(tmp_path):
    save_file({"head.weight": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match="no architecture in its header"):
        load(tmp_path / "bare.safetensors")
