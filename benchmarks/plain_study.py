"""A study as its user would write it without this package: a model, a training, Optuna or Ray Tune.

    python benchmarks/plain_study.py optuna CANDIDATES   # two processes share the study
    python benchmarks/plain_study.py ray CANDIDATES      # Ray Tune with OptunaSearch

CANDIDATES is a JSON file with a list of values of CHOICES. Files go into the working directory. Nothing of a training is kept but its
accuracies: a killed script begins anew. `study_speed.py` runs both beside the package.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHOICES: dict[str, list[Any]] = {
    "width": [8, 12, 16, 20, 24, 32],
    "unique": [1, 2, 4, 8],
    "loops": [1, 2, 4, 8, 16],
    "mlp_ratio": [1, 2],
    "nll": ["none", "block"],
    "p": [0, 0.5, 1],
}
EPOCHS, WARMUP, BATCH, LR, WEIGHT_DECAY = 9, 1, 96, 1e-2, 0.05
WORKERS = 2


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unsqueeze(1).chunk(3, dim=-1)
        out: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).squeeze(1))
        return out


def mlp(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class Block(nn.Module):
    def __init__(self, width: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor, scale: float) -> Tensor:
        x = x + scale * self.attention(self.norm1(x))
        return x + scale * self.mlp(self.norm2(x))


class Projection(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = mlp(width, width)

    def forward(self, x: Tensor, scale: float) -> Tensor:
        return x + scale * self.mlp(self.norm(x))


class RecursiveTransformer(nn.Module):
    """Each block runs `loops` times on the four patches of a digit."""

    def __init__(
        self, width: int, unique: int, loops: int, mlp_ratio: float, nll: str, p: float
    ) -> None:
        super().__init__()
        self.loops, self.scale = loops, (loops * unique) ** -p
        self.patches = nn.Conv2d(1, width, 4, 4)
        self.positions = nn.Parameter(0.02 * torch.randn(1, width, 2, 2))
        self.blocks = nn.ModuleList(Block(width, mlp_ratio) for _ in range(unique))
        layers = unique if nll == "block" else 0
        self.projections = nn.ModuleList(Projection(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = (self.patches(images) + self.positions).flatten(2).transpose(1, 2)
        for i, block in enumerate(self.blocks):
            for _ in range(self.loops):
                x = block(x, self.scale)
                if self.projections:
                    x = self.projections[i](x, self.scale)
        out: Tensor = self.head(self.norm(x.mean(1)))
        return out


def digits() -> list[tuple[Tensor, Tensor]]:
    """Images (I, 1, 8, 8) and classes of the package's digits: train, validation, test."""
    from sret_search.job import Data
    from sret_search.training import data
    from sret_search.training.augment import normalize

    split = data.load(Data("digits", split_seed=0, val=0.3, test=0.3))
    parts = []
    for part in (split.train, split.val, split.test):
        (images, labels), *_ = part.batches([torch.arange(len(part))])
        parts.append((normalize(images, split.mean, split.std), labels))
    return parts


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    model.eval()
    with torch.inference_mode():
        right = model(images).argmax(1) == labels
    model.train()
    return float(right.float().mean())


def train(candidate: dict[str, Any], report: Callable[[float], None] = lambda _: None) -> float:
    """Train a candidate, test it, and return its accuracy on the validation part."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    (images, labels), val, test = digits()
    model = RecursiveTransformer(**candidate)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}]
    groups += [{"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR)
    steps = math.ceil(len(images) / BATCH)

    def factor(step: int) -> float:
        if step < WARMUP * steps:
            return (step + 1) / (WARMUP * steps)
        return 0.5 + 0.5 * math.cos(math.pi * (step / steps - WARMUP) / (EPOCHS - WARMUP))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        reached = accuracy(model, *val)
        report(reached)
    accuracy(model, *test)
    return reached


def optuna_loop(storage: str, trials: int) -> None:
    """Take trials of the shared study, one after another."""
    import optuna

    study = optuna.load_study(study_name="plain", storage=storage)

    def objective(trial: optuna.Trial) -> float:
        return train({name: trial.suggest_categorical(name, CHOICES[name]) for name in CHOICES})

    study.optimize(objective, n_trials=trials)


def with_optuna(candidates: list[dict[str, Any]]) -> None:
    """Processes that share a study in SQLite, each with an equal number of trials."""
    import optuna

    storage = "sqlite:///plain.db"
    study = optuna.create_study(storage=storage, study_name="plain", direction="maximize")
    for candidate in candidates:
        study.enqueue_trial(candidate)
    shares = [len(candidates[i::WORKERS]) for i in range(WORKERS)]
    workers = [
        subprocess.Popen([sys.executable, __file__, "worker", storage, str(share)])
        for share in shares
    ]
    if any(worker.wait() for worker in workers):
        raise SystemExit("a worker failed")
    print(json.dumps([trial.value for trial in study.trials]))


def with_ray(candidates: list[dict[str, Any]]) -> None:
    """Ray Tune with Optuna's search algorithm."""
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    def trainable(config: dict[str, Any]) -> None:
        train(config, lambda reached: tune.report({"accuracy": reached}))

    ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    space = {name: tune.choice(CHOICES[name]) for name in CHOICES}
    search = OptunaSearch(metric="accuracy", mode="max", points_to_evaluate=candidates)
    tuner = tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(search_alg=search, num_samples=len(candidates)),
        run_config=tune.RunConfig(storage_path=str(Path.cwd() / "ray"), verbose=0),
    )
    found = tuner.fit()
    print(json.dumps([result.metrics["accuracy"] for result in found]))


def main() -> None:
    how, *rest = sys.argv[1:]
    if how == "worker":
        optuna_loop(rest[0], int(rest[1]))
        return
    candidates = json.loads(Path(rest[0]).read_text())
    {"optuna": with_optuna, "ray": with_ray}[how](candidates)


if __name__ == "__main__":
    main()
