"""Models go to the Hugging Face hub's format and back."""

import pytest
import torch

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.model import SReT, load, save

pytest.importorskip("huggingface_hub")

from sret_search.export.hub import HubSReT

TINY = Architecture(
    image_size=8, in_channels=1, classes=3, stem_strides=(2,), stages=(Stage(4, 2, loops=2),),
    nll=NLL("block"), residual=Residual("scaled"),
)  # fmt: skip
IMAGES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_model_is_saved_and_loaded(tmp_path):
    model = HubSReT(TINY).eval()
    model.save_pretrained(tmp_path)
    assert "library_name: sret_search" in (tmp_path / "README.md").read_text()
    for again in (HubSReT.from_pretrained(tmp_path), load(tmp_path)):
        assert again.architecture == TINY
        assert not again.training
        assert torch.equal(again(IMAGES), model(IMAGES))


def test_an_exported_folder_is_read_as_it_is(tmp_path):
    model = SReT(TINY).eval()
    save(model, tmp_path / "model.safetensors")
    again = HubSReT.from_pretrained(tmp_path)
    assert torch.equal(again(IMAGES), model(IMAGES))


def test_a_name_is_looked_for_on_the_hub(tmp_path, monkeypatch):
    model, asked = SReT(TINY).eval(), []
    save(model, tmp_path / "model.safetensors")

    def download(repo, name, **options):
        asked.append((repo, name, options["revision"]))
        return tmp_path / name

    monkeypatch.setattr("sret_search.export.hub.hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", _none)
    again = HubSReT.from_pretrained("someone/sret", revision="main")
    assert asked == [("someone/sret", "model.safetensors", "main")]
    assert torch.equal(again(IMAGES), model(IMAGES))


def _none(**options):
    from huggingface_hub.errors import HfHubHTTPError

    raise HfHubHTTPError("no config.json", response=_Response())


class _Response:
    headers: dict[str, str] = {}  # noqa: RUF012
    request = None
