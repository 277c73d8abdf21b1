"""The optimizer of a recipe, and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, AdamW, Muon, Optimizer
from torch.optim.swa_utils import AveragedModel

from sret_search import importing
from sret_search.job import Recipe
from sret_search.model import SReT
from sret_search.training.parametrization import Rule, Weight, weights

_MOMENTUM = 0.9


class JoinedOptimizer:
    """Several optimizers, each of other weights, used as one.

    Its state has the form of a torch optimizer's: the groups of all parts one after the other, with
    the weights numbered through.
    """

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        state: dict[int, Any] = {}
        groups: list[dict[str, Any]] = []
        first = 0
        for part in self.parts:
            plain = part.state_dict()
            state |= {first + number: kept for number, kept in plain["state"].items()}
            groups += [_renumbered(group, first) for group in plain["param_groups"]]
            first += _count(plain["param_groups"])
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned.

        Raises:
            ValueError: it is the state of other groups.
        """
        left = list(state_dict["param_groups"])
        first = 0
        for part in self.parts:
            groups, left = left[: len(part.param_groups)], left[len(part.param_groups) :]
            last = first + _count(groups)
            state = {
                number - first: kept
                for number, kept in state_dict["state"].items()
                if first <= number < last
            }
            renumbered = [_renumbered(group, -first) for group in groups]
            part.load_state_dict({"state": state, "param_groups": renumbered})
            first = last


def _renumbered(group: dict[str, Any], by: int) -> dict[str, Any]:
    return group | {"params": [number + by for number in group["params"]]}


def _count(groups: Iterable[dict[str, Any]]) -> int:
    return sum(len(group["params"]) for group in groups)


AnyOptimizer = Optimizer | JoinedOptimizer


def optimizer(model: SReT, recipe: Recipe) -> AnyOptimizer:
    """The optimizer of a recipe. Norms, biases, positions and residual scales have no weight decay.

    "muon" is torch's Muon with its default momentum, for the weights of linear layers in blocks,
    NLLs and injections. Its updates are scaled to the mean square of AdamW's (Liu et al., 2502.16982, Eq. 4), so
    that AdamW's learning rate and weight decay suit it. Convolutions, positions, norms, biases, the
    head and banks of experts have AdamW.

    Raises:
        NotImportedError: the import path of the recipe's optimizer leads nowhere.
        TypeError: the function that the recipe names does not return an optimizer.
    """
    everything, lr = dict(model.named_parameters()), recipe.lr
    needs_weights = recipe.optimizer == "muon" or recipe.parametrization == "mup"
    known = weights(model) if needs_weights else {}
    if recipe.optimizer == "muon":
        matrices: dict[str, Tensor] = {}
        others: dict[str, Tensor] = {}
        for name, parameter in everything.items():
            is_matrix = known[name].rows > 0 and parameter.ndim == 2 and name.startswith("stages.")
            (matrices if is_matrix else others)[name] = parameter
        groups = _groups(matrices, recipe, lr, "muon", known)
        muon = Muon(groups, lr=lr, adjust_lr_fn="match_rms_adamw")
        lr = recipe.rate_of_others
        adamw = AdamW(_groups(others, recipe, lr, "adamw", known), lr=lr, fused=True)
        return JoinedOptimizer(muon, adamw)
    if recipe.optimizer == "sgd":
        groups = _groups(everything, recipe, lr, "sgd", known)
        return SGD(groups, lr=lr, momentum=_MOMENTUM, nesterov=True, fused=True)
    groups = _groups(everything, recipe, lr, "adamw", known)
    if recipe.optimizer == "adamw":
        return AdamW(groups, lr=lr, fused=True)
    made = importing.load(recipe.optimizer)(groups, lr=lr)
    if not isinstance(made, Optimizer):
        kind = type(made).__name__
        raise TypeError(f"{recipe.optimizer} returned a {kind}; a torch.optim.Optimizer is needed")
    return made


def _groups(
    members: Mapping[str, Tensor],
    recipe: Recipe,
    lr: float,
    rule: Rule,
    known: Mapping[str, Weight],
) -> list[dict[str, Any]]:
    """Groups of parameters with equal weight decay and learning rate; those with decay come first.

    Args:
        lr: learning rate of the optimizer.
        known: parameters as muP sees them; not read with the standard parametrization.
    """
    by_kind: dict[tuple[bool, float], list[Tensor]] = {}
    scales = recipe.parametrization == "mup"
    for name, parameter in members.items():
        is_plain = parameter.ndim < 2 or name.startswith("positions")
        factor = known[name].rate(rule) if scales else 1.0
        by_kind.setdefault((is_plain, factor), []).append(parameter)
    groups = []
    for (is_plain, factor), alike in sorted(by_kind.items(), key=lambda item: item[0][0]):
        decay = 0.0 if is_plain else recipe.weight_decay / factor
        rate = {} if factor == 1 else {"lr": lr * factor}
        groups.append({"params": alike, "weight_decay": decay, **rate})
    return groups


def have_same_groups(state: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two states are of optimizers of one kind, with the same weights in their groups."""
    forms = [
        [(set(group), len(group["params"])) for group in each["param_groups"]]
        for each in (state, other)
    ]
    return forms[0] == forms[1]


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of the model whose weights follow the model's. Buffers are those of the model."""

    def follow(average: Tensor, weight: Tensor, updates: Tensor | int) -> Tensor:
        n = int(updates)
        return average.lerp(weight, 1 - min(decay, (1 + n) / (10 + n)))

    return AveragedModel(model, avg_fn=follow)
