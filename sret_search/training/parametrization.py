"""The maximal update parametrization (muP): sizes of initial weights and learning rates, by width.

With the standard parametrization, a step at one learning rate changes the activations of a wide
model more than those of a narrow one. With muP it changes them alike at any width, so the best
learning rate of narrow models is near that of wide ones (Yang et al., "Tensor Programs V",
2203.03466). Let m be the width of a stage divided by `BASE_WIDTH`. These are the factors on
PyTorch's initial weights and on the recipe's learning rate (Table 3 there; Tables 8 and 9 state the
same with other multipliers):

    inputs → outputs    initial size   AdamW   SGD   examples
    fixed  → width      1              1       m     first convolution, pools, positions, norms, biases
    width  → width      1              1/m     1     matrices of blocks
    width  → fixed      1/√m           1/m     1/m   head
    fixed  → fixed      1              1       1     residual scales, the bias of the head

PyTorch draws the weights and the biases of a layer with a standard deviation of 1/√(3·inputs). The
factors come on top of it. A bias has the additional factor √m if its layer has `width` inputs,
since the initial size of biases does not depend on the width in muP. At the base width all factors
are 1.

Muon makes the update of a matrix of A rows and B columns orthogonal and, as the recipe uses it,
multiplies it by 0.2·√max(A, B), for the mean square of AdamW's updates (Liu et al., 2502.16982, Eq.
4). Its largest singular value is then proportional to √max(A, B). Activations change alike at any
width if it is proportional to √(A/B) instead (Yang, Simon and Bernstein, 2310.17813, Condition 1).
So the factor of a matrix is √(A / (B·max(A, B))), divided by its value at the base width: 1/√m for
a matrix of `width` to `width`.

Attention. muP divides q·k by the width d of a head, in place of √d, since trained queries and keys
are correlated. We divide by d/√d₀, with d₀ = `BASE_HEAD_WIDTH`: the same at d₀. The forward pass
divides by √d for all models, so the factor √(d₀/d) must be in the weights. Factors may move between
a multiplier in the forward pass and the weights: the trained function stays the same if a weight's
initial size and AdamW's learning rate are multiplied by the factor too, and SGD's by its square
(Lemma J.1 there). With s = (d₀/d)^¼, s on all rows of q, k and v multiplies q·k by s² = √(d₀/d), as
wanted, and the values by s, which 1/s on the weights after attention takes back. Biases of q, k and
v have the factor too. So a trained model needs no mark: evaluation, export and reruns at other
loops run it as any other.

The weight decay of a group is divided by its factor on the learning rate. So a step shrinks all
decayed weights by the same fraction, lr · weight_decay, as without muP. The ε of AdamW and the norm
of clipped gradients are not scaled; all else is exact. A test trains a model of this form and one
with the multipliers of Table 8 in its forward pass, and both end with the same outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from sret_search.architecture import Architecture
from sret_search.model import SReT
from sret_search.model.block import Block
from sret_search.model.linear import LowRank

BASE_WIDTH = 64
BASE_HEAD_WIDTH = 32
"""Width of a stage and of a head at which muP and the standard parametrization are the same: those
of the first stage of SReT-T."""

Rule = Literal["adamw", "sgd", "muon"]

_LINEAR = (nn.Linear, nn.Conv2d, LowRank)
"""Modules whose weights map inputs to outputs, in this order of dimensions: (outputs, inputs, …)."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter as muP sees it.

    It is a matrix if it is the weight of a linear layer or convolution, or if two of its dimensions
    depend on the width. Everything else, such as a norm's gain, is a vector, with outputs only.

    Attributes:
        inputs, outputs: number of its inputs and of its outputs, divided by that at the base
            width; 1 if it does not depend on the width.
        bias_of: `inputs` of the layer, for the bias of a layer; else 1.
        rows, columns: outputs and inputs of a matrix; 0 for a vector.
        attention: the factor s or 1/s of weights before or after attention; 1 for all others.
    """

    inputs: float = 1.0
    outputs: float = 1.0
    bias_of: float = 1.0
    rows: int = 0
    columns: int = 0
    attention: float = 1.0

    @property
    def initial(self) -> float:
        """Factor on the initial weights."""
        is_readout = self.outputs == 1
        spread = math.sqrt(self.inputs) if is_readout else 1.0
        return self.attention * math.sqrt(self.bias_of) / spread

    def rate(self, rule: Rule) -> float:
        """Factor on the learning rate of an optimizer."""
        if rule == "adamw":
            return self.attention / self.inputs
        if rule == "sgd":
            return self.attention**2 * self.outputs / self.inputs
        assert self.rows, "Muon takes matrices only"
        largest = max(self.rows, self.columns)
        at_base = max(self.rows / self.outputs, self.columns / self.inputs)
        return self.attention * math.sqrt(self.outputs / self.inputs * at_base / largest)


def weights(model: SReT) -> dict[str, Weight]:
    """The parameters of a model as muP sees them, by name, in the order of `named_parameters`."""
    a = model.architecture
    owners = dict(model.named_modules())
    doubled = {name: p.shape for name, p in _doubled(a).named_parameters()}
    attention = _attention(model)
    known: dict[str, Weight] = {}
    for name, parameter in model.named_parameters():
        path, _, leaf = name.rpartition(".")
        owner, shape = owners[path], parameter.shape
        grows = [size != wide for size, wide in zip(shape, doubled[name], strict=True)]
        width = _width(name, a) / BASE_WIDTH
        dims = [i for i, does in enumerate(grows) if does]
        if len(dims) != 2 and len(shape) >= 2 and isinstance(owner, _LINEAR):
            dims = [0, 1]
        if len(dims) == 2:
            rows, columns = dims
            weight = Weight(
                inputs=width if grows[columns] else 1.0,
                outputs=width if grows[rows] else 1.0,
                rows=shape[rows],
                columns=shape[columns],
            )
        else:
            layer = known.get(f"{path}.{_weight_of(leaf, owner)}", Weight())
            weight = Weight(outputs=width if any(grows) else 1.0, bias_of=layer.inputs)
        known[name] = replace(weight, attention=attention.get(name, 1.0))
    return known


@torch.no_grad()
def scale_initial(model: SReT) -> None:
    """Multiply the initial weights of a new model by muP's factors, in place."""
    factors = {name: weight.initial for name, weight in weights(model).items()}
    for name, parameter in model.named_parameters():
        parameter.mul_(factors[name])


def _doubled(a: Architecture) -> nn.Module:
    """The same network at twice its widths, without memory: dimensions that differ are those that
    depend on the width."""
    stages = tuple(replace(stage, width=2 * stage.width) for stage in a.stages)
    with torch.device("meta"):
        return SReT(replace(a, stages=stages))


def _width(name: str, a: Architecture) -> int:
    """Width of the stage on which a parameter's dimensions depend."""
    part, *rest = name.split(".")
    if part in ("stem", "positions_1DSS"):
        return a.stages[0].width
    index = {"stages": 0, "pools": 1}.get(part)
    return a.stages[-1 if index is None else int(rest[0]) + index].width


def _weight_of(leaf: str, owner: nn.Module) -> str | None:
    """Name of the weight beside a bias; None for other parameters."""
    if isinstance(owner, nn.ParameterList):
        # A bank of experts has the weights and the biases of each layer in turn.
        return str(int(leaf) - 1)
    return "weight" if isinstance(owner, _LINEAR) and leaf == "bias" else None


def _attention(model: SReT) -> Mapping[str, float]:
    """The factors of weights before and after attention, by name."""
    factors = {}
    for path, block in model.named_modules():
        if not isinstance(block, Block):
            continue
        before = (BASE_HEAD_WIDTH * block.heads / block.qkv.in_features) ** 0.25
        for name in ("qkv.weight", "qkv.bias", *(_ups(block, "qkv"))):
            factors[f"{path}.{name}"] = before
        for name in ("proj.weight", *(_ups(block, "proj"))):
            factors[f"{path}.{name}"] = 1 / before
    return factors


def _ups(block: Block, layer: str) -> list[str]:
    """Names of the LoRA factors that are added to a layer's weights from its output side."""
    return [f"loras.{loop}.{layer}.up_OR" for loop in range(len(block.loras))]
