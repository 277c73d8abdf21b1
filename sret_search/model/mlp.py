"""The MLP of a block, and a bank of MLPs mixed by depth.

Shapes: B images, N tokens, D width, H hidden width, E experts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sret_search.model.linear import Linear


def run_mlp(x_BND: Tensor, fc1: Linear, fc2: Linear) -> Tensor:
    """Linear, GELU, linear: (B, N, D) → (B, N, D)."""
    return fc2.run(F.gelu(fc1.run(x_BND)))


class MLP(nn.Module):
    """An MLP that is the same at any depth."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def at(self, progress: float = 0.5) -> tuple[Linear, Linear]:
        """Both linear layers. `progress` has no effect."""
        return Linear(self.fc1.weight, self.fc1.bias), Linear(self.fc2.weight, self.fc2.bias)


class ExpertBank(nn.Module):
    """MLPs whose weights are mixed by the progress of a block's loops.

    The mix is a softmax over a line in depth for each expert. Each expert may thus lead in an
    interval of depths (our reading of the depth-programmed experts of recurrent vision
    transformers).
    """

    def __init__(self, width: int, hidden: int, experts: int) -> None:
        super().__init__()
        mlps = [MLP(width, hidden) for _ in range(experts)]
        banks = zip(*(mlp.parameters() for mlp in mlps), strict=True)
        self.banks = nn.ParameterList(torch.stack(bank).detach() for bank in banks)
        # Up to a common term, the logits are -E²·(progress - middle)²: the experts lead in turn.
        middle_E = torch.arange(experts) + 0.5
        self.slope_E = nn.Parameter(2 * experts * (middle_E - experts / 2))
        self.offset_E = nn.Parameter(-middle_E.square())

    def at(self, progress: float = 0.5) -> tuple[Linear, Linear]:
        """Both linear layers of a loop; `progress` is the middle of the loop, from 0 to 1."""
        mix_E = (self.offset_E + progress * self.slope_E).softmax(0)
        fc1_HD, bias1_H, fc2_DH, bias2_D = (
            (bank * mix_E.view(-1, *[1] * (bank.ndim - 1))).sum(0) for bank in self.banks
        )
        return Linear(fc1_HD, bias1_H), Linear(fc2_DH, bias2_D)
