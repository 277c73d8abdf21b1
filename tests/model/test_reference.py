"""The published models give the logits of the official code (szq0214/SReT, November 2021).

The figures in reference.json were made by running that code once, in float64 and evaluation
mode, with weights and images that anyone can make again: see `_official` and `_images`.
"""

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from sret_search.model import SReT
from sret_search.variants import VARIANTS

torch.set_num_threads(1)

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text(encoding="utf-8"))
_RENAMED = {
    r"^positions_1DSS": "pos_embed",
    r"^(pools\.\d)": r"\1.conv",
    r"attention\.": "attn.",
    r"mlp\.0": "mlp.fc1",
    r"mlp\.2": "mlp.fc2",
    r"\.norm\.": ".norm1.",
    r"add1?\.skip": "coefficient1.bias",
    r"add1?\.branch": "coefficient2.bias",
    r"add2\.skip": "coefficient3.bias",
    r"add2\.branch": "coefficient4.bias",
}


def _official_key(key, loops):
    """The official name of a weight: of its first execution, where it has several.

    The official chain of a stage alternates executions of blocks and their NLLs.
    """
    if stem := re.match(r"stem\.(\d+)\.(.+)", key):
        layer = int(stem[1])
        return f"patch_embed.{'conv' if layer % 3 == 0 else 'bn'}{layer // 3 + 1}.{stem[2]}"
    if part := re.match(r"stages\.(\d)\.(blocks|nlls)\.(\d+)(\..+)", key):
        first = 2 * int(part[3]) * loops if part[2] == "blocks" else 2 * int(part[3]) + 1
        key = f"transformers.{part[1]}.blocks.{first}{part[4]}"
    for ours, theirs in _RENAMED.items():
        key = re.sub(ours, theirs, key)
    return key


def _official(key, shape):
    """The reference weight with this official name."""
    z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape) * 0.05
    if key.endswith("running_var"):
        return 1 + np.abs(z)
    if len(shape) == 1 and (key.endswith(".weight") or ".coefficient" in key):
        return 1 + z
    return z


def _images(side):
    return torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, side, side)))


@pytest.mark.parametrize("name", REFERENCE)
def test_logits_are_those_of_the_official_code(name):
    a, reference = VARIANTS[name], REFERENCE[name]
    model = SReT(a).double().eval()
    weights = {
        key: torch.as_tensor(_official(_official_key(key, a.stages[0].loops), value.shape))
        for key, value in model.state_dict().items()
        if value.is_floating_point()
    }
    assert sum(p.numel() for p in model.parameters()) == reference["parameters"]
    assert len({_official_key(key, a.stages[0].loops) for key in weights}) == len(weights)
    model.load_state_dict(weights, strict=False)
    torch.manual_seed(0)
    with torch.no_grad():
        logits = model(_images(a.image_size)).numpy()
    near = {"rtol": 1e-9, "atol": 0}
    np.testing.assert_allclose(logits[:, :8], reference["logits_first8"], **near)
    np.testing.assert_allclose(logits.sum(1), reference["logits_sum"], **near)
    np.testing.assert_allclose(np.linalg.norm(logits, axis=1), reference["logits_norm"], **near)
