"""Variants are models of timm, which can be resized, have features, and take other heads."""

import pytest
import torch

from sret_search.architecture import ArchitectureError
from sret_search.architecture.variants import VARIANTS
from sret_search.cost import cost
from sret_search.model import SReT, resize, save
from sret_search.training import vision  # noqa: F401  before timm, which imports torchvision too

timm = pytest.importorskip("timm")

import sret_search.export.timm  # noqa: E402, F401

torch.set_num_threads(1)
IMAGES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_every_variant_is_registered():
    assert set(timm.list_models("*sret*")) >= {n for n in VARIANTS if n.startswith("sret")}
    model = timm.create_model("sret_t")
    assert sum(p.numel() for p in model.parameters()) == cost(VARIANTS["sret_t"]).params
    assert model.pretrained_cfg["input_size"] == (3, 224, 224)


def test_a_model_does_what_the_variant_does():
    model = timm.create_model("sret_digits").eval()
    plain = SReT(VARIANTS["sret_digits"]).eval()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(model(IMAGES), plain(IMAGES))
    features = model.forward_features(IMAGES)
    assert features.shape == (2, 32, 4, 4)
    assert torch.equal(model.forward_head(features), model(IMAGES))
    assert model.forward_head(features, pre_logits=True).shape == (2, model.num_features)


def test_head_channels_size_and_drop_path_are_as_asked():
    model = timm.create_model(
        "sret_digits", num_classes=3, in_chans=2, img_size=12, drop_path_rate=0.2
    )
    assert model.architecture.drop_path == 0.2
    assert model(torch.randn(2, 2, 12, 12)).shape == (2, 3)
    model.reset_classifier(4)
    assert model(torch.randn(2, 2, 12, 12)).shape == (2, 4)
    assert model.architecture.classes == 4
    model.reset_classifier(0)
    assert model(torch.randn(2, 2, 12, 12)).shape == (2, 32)
    with pytest.raises(ArchitectureError, match="cannot be cut into 8 groups"):
        timm.create_model("sret_t", img_size=72)


def test_another_size_interpolates_the_positions():
    model = timm.create_model("sret_digits").eval()
    plain = SReT(VARIANTS["sret_digits"]).eval()
    plain.load_state_dict(model.state_dict())
    model.set_input_size((12, 12))
    images = torch.randn(1, 1, 12, 12)
    assert torch.equal(model(images), resize(plain, 12)(images))


def test_features_are_those_of_the_stages():
    images = torch.randn(1, 3, 64, 64)
    options = {"img_size": 64, "features_only": True}
    model = timm.create_model("sret_t_unsliced", **options)
    assert model.feature_info.channels() == [64, 128, 256]
    assert model.feature_info.reduction() == [8, 16, 32]
    maps = model(images)
    assert [m.shape[1:] for m in maps] == [(64, 8, 8), (128, 4, 4), (256, 2, 2)]
    first = timm.create_model("sret_t_unsliced", out_indices=(0,), **options).eval()
    first.load_state_dict(model.eval().state_dict(), strict=False)
    assert torch.equal(first(images)[0], model(images)[0])
    assert len(first.state_dict()) < len(model.state_dict()) / 2


def test_an_exported_model_comes_with_its_weights(tmp_path):
    plain = SReT(VARIANTS["sret_digits"].at_loops(2)).eval()
    save(plain, tmp_path / "model.safetensors")
    model = timm.create_model("sret", folder=tmp_path, pretrained=True).eval()
    assert torch.equal(model(IMAGES), plain(IMAGES))
    large = timm.create_model("sret", folder=tmp_path, pretrained=True, img_size=12, num_classes=2)
    assert torch.equal(large.state_dict()["norm.weight"], plain.norm.weight)
    assert torch.equal(large.positions_1DSS, resize(plain, 12).positions_1DSS)
    assert large(torch.randn(1, 1, 12, 12)).shape == (1, 2)


def test_recomputing_can_be_asked_for():
    model = timm.create_model("sret_digits").train()
    assert not model.recomputes(2)
    model.set_grad_checkpointing()
    assert model.recomputes(2)
