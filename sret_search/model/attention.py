"""Sliced group self-attention (paper §3.4): softmax attention inside groups of tokens.

Shapes: B images, N tokens, D width, G groups, M = N / G tokens a group, H heads, K = D / H.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sret_search.architecture import Permutation
from sret_search.model.linear import Linear


def attend(
    x_BND: Tensor,
    qkv: Linear,
    proj: Linear,
    heads: int,
    groups: int = 1,
    order_N: Tensor | None = None,
) -> Tensor:
    """Multi-head self-attention inside `groups` equal slices of the tokens. One group is global
    attention.

    Args:
        x_BND: tokens.
        qkv, proj: linear layers before and after attention.
        order_N: order of the tokens before they are cut into slices; None keeps their order.
    """
    B, N, D = x_BND.shape
    if order_N is not None:
        x_BND = x_BND.index_select(1, order_N)
    qkv_BM3HK = qkv.run(x_BND).view(B * groups, N // groups, 3, heads, D // heads)
    q_BHMK, k_BHMK, v_BHMK = qkv_BM3HK.permute(2, 0, 3, 1, 4).unbind(0)
    mixed_BHMK = F.scaled_dot_product_attention(q_BHMK, k_BHMK, v_BHMK)
    mixed_BND = mixed_BHMK.transpose(1, 2).reshape(B, N, D)
    if order_N is not None:
        mixed_BND = mixed_BND.index_select(1, order_N.argsort())
    return proj.run(mixed_BND)


def token_order(
    permutation: Permutation, loop: int, tokens: int, groups: int, device: torch.device
) -> Tensor | None:
    """The order of the tokens before loop `loop` cuts them into slices; None keeps their order.

    As in the published code, the first loop is never permuted, and global attention never is.
    """
    if permutation == "none" or loop == 0 or groups == 1:
        return None
    if permutation == "stride":
        return torch.arange(tokens, device=device).view(-1, groups).t().reshape(-1)
    return torch.randperm(tokens).to(device)
