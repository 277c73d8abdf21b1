"""The optimizer of a recipe, and the moving average of the weights."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel

from sret_search import importing
from sret_search.job import Recipe

_MOMENTUM = 0.9


def optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    """The optimizer of a recipe. Norms, biases, positions and residual scales have no weight decay.

    Raises:
        NotImportedError: the import path of the recipe's optimizer leads nowhere.
        TypeError: the function that the recipe names does not return an optimizer.
    """
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in model.named_parameters():
        weighs = parameter.ndim >= 2 and not name.startswith("positions")
        (decayed if weighs else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return SGD(groups, lr=recipe.lr, momentum=_MOMENTUM, nesterov=True, fused=True)
    if recipe.optimizer == "adamw":
        return AdamW(groups, lr=recipe.lr, fused=True)
    made = importing.load(recipe.optimizer)(groups, lr=recipe.lr)
    if not isinstance(made, Optimizer):
        kind = type(made).__name__
        raise TypeError(f"{recipe.optimizer} returned a {kind}; a torch.optim.Optimizer is needed")
    return made


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of the model whose weights follow the model's. Buffers are those of the model."""

    def follow(average: Tensor, weight: Tensor, updates: Tensor | int) -> Tensor:
        n = int(updates)
        return average.lerp(weight, 1 - min(decay, (1 + n) / (10 + n)))

    return AveragedModel(model, avg_fn=follow)
