"""A plain eager SReT, the yardstick that the package's model is measured against.

Written from the equations of Shen, Liu, Xing, "Sliced Recursive Transformer" (ECCV 2022,
arXiv 2111.05297), one line of torch for each: attention maps are materialised, every activation
is kept, tensors lie as torch lays them by default.

Shapes: B images, N tokens, D width, G groups, M = N / G tokens a group, H heads, K = D / H.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sret_search.architecture import Architecture, Stage


class PlainAttention(nn.Module):
    """Softmax attention inside slices: softmax(q·kᵀ / √K)·v for each group and head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BND: Tensor, groups: int, shuffle: bool) -> Tensor:
        B, N, D = x_BND.shape
        if shuffle:
            order_N = torch.randperm(N)
            x_BND = x_BND[:, order_N]
        qkv = self.qkv(x_BND).reshape(B, groups, N // groups, 3, self.heads, D // self.heads)
        q_BGHMK, k_BGHMK, v_BGHMK = qkv.permute(3, 0, 1, 4, 2, 5)
        scores_BGHMM = q_BGHMK @ k_BGHMK.transpose(-2, -1) * (D // self.heads) ** -0.5
        mixed_BGHMK = scores_BGHMM.softmax(-1) @ v_BGHMK
        mixed_BND = mixed_BGHMK.transpose(2, 3).reshape(B, N, D)
        if shuffle:
            mixed_BND = mixed_BND[:, order_N.argsort()]
        out: Tensor = self.proj(mixed_BND)
        return out


class PlainSum(nn.Module):
    """α·skip + β·branch."""

    def __init__(self) -> None:
        super().__init__()
        self.skip = nn.Parameter(torch.ones(1))
        self.branch = nn.Parameter(torch.ones(1))

    def forward(self, skip_BND: Tensor, branch_BND: Tensor) -> Tensor:
        return self.skip * skip_BND + self.branch * branch_BND


class PlainDropPath(nn.Module):
    """Leaves a branch out for whole images, and scales the others up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x_BND: Tensor) -> Tensor:
        if self.rate == 0 or not self.training:
            return x_BND
        keep_B11 = torch.rand(len(x_BND), 1, 1, dtype=x_BND.dtype) >= self.rate
        return x_BND * keep_B11 / (1 - self.rate)


def plain_mlp(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class PlainBlock(nn.Module):
    """Attention and MLP, each normalised first and added."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(stage.width, eps=1e-6)
        self.attention = PlainAttention(stage.width, stage.heads)
        self.add1 = PlainSum()
        self.norm2 = nn.LayerNorm(stage.width, eps=1e-6)
        self.mlp = plain_mlp(stage.width, stage.hidden)
        self.add2 = PlainSum()

    def forward(
        self, x_BND: Tensor, groups: int, shuffle: bool, drop_path: PlainDropPath
    ) -> Tensor:
        branch_BND = self.attention(self.norm1(x_BND), groups, shuffle)
        x_BND = self.add1(x_BND, drop_path(branch_BND))
        branch_BND = self.mlp(self.norm2(x_BND))
        out: Tensor = self.add2(x_BND, drop_path(branch_BND))
        return out


class PlainProjection(nn.Module):
    """The non-linear projection layer α·z + β·MLP(LN z)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = plain_mlp(width, hidden)
        self.add = PlainSum()

    def forward(self, x_BND: Tensor) -> Tensor:
        out: Tensor = self.add(x_BND, self.mlp(self.norm(x_BND)))
        return out


class PlainStage(nn.Module):
    """Each block runs all of its loops, its own projection layer after every execution."""

    def __init__(self, stage: Stage, nll_hidden: int, shuffle: bool, rates: list[float]) -> None:
        super().__init__()
        self.stage, self.shuffle = stage, shuffle
        self.blocks = nn.ModuleList(PlainBlock(stage) for _ in range(stage.unique))
        self.nlls = nn.ModuleList(
            PlainProjection(stage.width, nll_hidden) for _ in range(stage.executions)
        )
        self.drop_paths = nn.ModuleList(PlainDropPath(rate) for rate in rates)

    def forward(self, x_BND: Tensor) -> Tensor:
        for i, (nll, drop_path) in enumerate(zip(self.nlls, self.drop_paths, strict=True)):
            block, loop = divmod(i, self.stage.loops)
            groups = self.stage.groups_at(loop)
            shuffle = self.shuffle and loop > 0 and groups > 1
            x_BND = nll(self.blocks[block](x_BND, groups, shuffle, drop_path))
        return x_BND


class PlainSReT(nn.Module):
    """The published network: learnable residual scalars, one projection layer an execution.

    Raises:
        ValueError: the architecture is outside of what was published.
    """

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        if a.nll.share != "execution" or a.residual.kind != "lrc" or a.permutation == "stride":
            raise ValueError("the plain SReT knows the published mechanisms only")
        layers: list[nn.Module] = []
        channels = a.in_channels
        for width, stride in zip(a.stem_channels, a.stem_strides, strict=True):
            layers.append(nn.Conv2d(channels, width, 3, stride, padding=1))
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.stem = nn.Sequential(*layers)
        side = a.sides[0]
        self.positions_1DSS = nn.Parameter(0.02 * torch.randn(1, channels, side, side))
        last = max(a.executions - 1, 1)
        rates = [a.drop_path * e / last for e in range(a.executions)]
        self.stages = nn.ModuleList()
        for stage in a.stages:
            own, rates = rates[: stage.executions], rates[stage.executions :]
            shuffle = a.permutation == "official"
            self.stages.append(PlainStage(stage, a.nll.hidden(stage.width), shuffle, own))
        self.pools = nn.ModuleList(
            nn.Conv2d(before.width, after.width, 3, 2, padding=1, groups=before.width)
            for before, after in zip(a.stages[:-1], a.stages[1:], strict=True)
        )
        self.norm = nn.LayerNorm(a.stages[-1].width, eps=1e-6)
        self.head = nn.Linear(a.stages[-1].width, a.classes)

    def forward(self, images_BCSS: Tensor) -> Tensor:
        x_BDSS = self.stem(images_BCSS) + self.positions_1DSS
        for i, stage in enumerate(self.stages):
            if i > 0:
                x_BDSS = self.pools[i - 1](x_BDSS)
            x_BND = stage(x_BDSS.flatten(2).transpose(1, 2))
            x_BDSS = x_BND.transpose(1, 2).reshape(x_BDSS.shape)
        logits: Tensor = self.head(self.norm(x_BDSS.mean((2, 3))))
        return logits
