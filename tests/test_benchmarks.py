"""The yardstick of the benchmarks computes what the model computes; what is run with torch alone runs."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from plain_sret import PlainSReT

from sret_search.architecture.variants import VARIANTS
from sret_search.model import SReT

torch.set_num_threads(1)

_RENAMED = {
    r"(norm\d)\.0": r"\1",
    r"(blocks\.\d+)\.(qkv|proj)": r"\1.attention.\2",
    r"mlp\.fc1": "mlp.0",
    r"mlp\.fc2": "mlp.2",
}


def _plain_name(name):
    for ours, theirs in _RENAMED.items():
        name = re.sub(ours, theirs, name)
    return name


@pytest.mark.parametrize("variant", ["sret_t", "sret_lt_unsliced"])
def test_the_plain_model_is_ours(variant):
    a = VARIANTS[variant]
    torch.manual_seed(0)
    ours = SReT(a).double().eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    plain = PlainSReT(a).double().eval()
    plain.load_state_dict({_plain_name(n): value for n, value in ours.state_dict().items()})
    images = torch.randn(1, 3, a.image_size, a.image_size, dtype=torch.float64)
    losses = []
    for model in (ours, plain):
        torch.manual_seed(1)  # the official permutation
        losses.append(F.cross_entropy(model(images), torch.tensor([3])))
        losses[-1].backward()
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-11, atol=0)
    gradients = dict(plain.named_parameters())
    for name, parameter in ours.named_parameters():
        other = gradients[_plain_name(name)].grad
        torch.testing.assert_close(parameter.grad, other, rtol=1e-7, atol=1e-10)


@pytest.mark.slow
def test_training_speed_is_measured_with_torch_and_torchvision_alone(tmp_path):
    for name in ("ray", "optuna", "pydantic"):
        (tmp_path / f"{name}.py").write_text("raise ImportError")
    script = Path(__file__).parents[1] / "benchmarks" / "training_speed.py"
    command = [sys.executable, str(script), "--quick", "--results", str(tmp_path / "results")]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    (written,) = (tmp_path / "results").glob("training_speed_*.json")
    assert json.loads(written.read_text()) == figures
    for what in ("loader", "folder"):
        for augment in ("", "_deit"):
            for trials in ("", "_shared"):
                assert 0 < figures[f"{what}_efficiency{augment}{trials}"] < math.inf
    for name in ("warm_start_seconds", "first_step_seconds"):
        assert figures[name]["cifar"] > 0
        assert figures[name]["digits"] > 0
    assert figures["load_seconds"].keys() == {"files", "mapped"}
