"""Graphs give the outputs of the model, for any number of images, or are refused."""

import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch

from sret_search.architecture import NLL, Architecture, Relax, Residual, Stage
from sret_search.export import extras, graph
from sret_search.export.extras import ExtraError
from sret_search.export.graph import GraphError, write_graph
from sret_search.model import SReT

torch.set_num_threads(1)

# Every kind of part that runs otherwise at each loop.
SMALL = Architecture(
    image_size=8, in_channels=1, classes=3, stem_strides=(2,),
    stages=(Stage(4, 2, unique=1, loops=2, groups=(2, 4)), Stage(8, 2)),
    nll=NLL("block"), residual=Residual("lrc"), relax=Relax(norm=True, lora=1, experts=2),
    permutation="stride",
)  # fmt: skip


def _model(architecture=SMALL):
    torch.manual_seed(0)
    model = SReT(architecture)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("kind", list(graph.FILES))
def test_a_graph_gives_the_outputs_of_the_model(kind, tmp_path):
    if kind == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package)
    model, path = _model(), tmp_path / graph.FILES[kind]
    assert write_graph(model, kind, path) <= graph.TOLERANCE
    images = torch.randn(7, 1, 8, 8)
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    else:
        found = torch.export.load(path).module()(images)
    torch.testing.assert_close(found, model(images), rtol=0, atol=1e-5)


def test_other_outputs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.export, "export", lambda model, images, **shapes: model)
    monkeypatch.setattr(graph, "_write_torch", lambda model, path: lambda x: model(x) + 1e-4)
    with pytest.raises(GraphError, match="gives other outputs than the model: they differ by"):
        write_graph(_model(), "torch_export", tmp_path / "model.pt2")


def test_a_model_that_draws_has_no_graph(tmp_path):
    with pytest.raises(GraphError, match="a new order of tokens in each pass"):
        write_graph(_model(replace(SMALL, permutation="official")), "torch_export", tmp_path / "m")


@pytest.mark.parametrize("extra", ["onnx", "hub", "timm"])
def test_an_extra_that_is_missing_is_named_with_what_installs_it(extra, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    for module in ("sret_search.export.hub", "sret_search.export.timm"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    line = rf"not installed; install with: pip install 'sret-search\[{extra}\]'"
    asked = {
        "onnx": partial(write_graph, _model(), "onnx", Path("model.onnx")),
        "hub": partial(import_module, "sret_search.export.hub"),
        "timm": partial(import_module, "sret_search.export.timm"),
    }
    with pytest.raises(ExtraError, match=line):
        asked[extra]()
