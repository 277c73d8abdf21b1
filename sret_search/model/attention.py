"""Sliced group self-attention (paper §3.4): softmax attention inside groups of tokens.

Shapes: B images, N tokens, D width, G groups, M = N / G tokens a group, H heads, K = D / H.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sret_search.architecture import Permutation


class SlicedAttention(nn.Module):
    """Multi-head self-attention over `groups` equal slices of the tokens; 1 group is global."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BND: Tensor, groups: int = 1, order_N: Tensor | None = None) -> Tensor:
        """Attend inside slices of the tokens taken in `order_N` (as they lie, where None)."""
        B, N, D = x_BND.shape
        if order_N is not None:
            x_BND = x_BND.index_select(1, order_N)
        qkv = self.qkv(x_BND).view(B * groups, N // groups, 3, self.heads, D // self.heads)
        q_BHMK, k_BHMK, v_BHMK = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed_BHMK = F.scaled_dot_product_attention(q_BHMK, k_BHMK, v_BHMK)
        mixed_BND = mixed_BHMK.transpose(1, 2).reshape(B, N, D)
        if order_N is not None:
            mixed_BND = mixed_BND.index_select(1, order_N.argsort())
        out: Tensor = self.proj(mixed_BND)
        return out


def token_order(
    permutation: Permutation, loop: int, tokens: int, groups: int, device: torch.device
) -> Tensor | None:
    """The order in which loop `loop` slices its tokens; None leaves them as they lie.

    As in the published code the first loop is never permuted, nor is global attention.
    """
    if permutation == "none" or loop == 0 or groups == 1:
        return None
    if permutation == "stride":
        return torch.arange(tokens, device=device).view(-1, groups).t().reshape(-1)
    return torch.randperm(tokens).to(device)
