"""Official checkpoints (szq0214/SReT): their names for the weights of an `SReT`.

A stage is there a chain that alternates executions of blocks and NLLs. A shared block occurs in it
once for each time it runs.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from sret_search.architecture import Architecture, Loop, Permutation, Relax
from sret_search.architecture.variants import VARIANTS
from sret_search.job.paths import named_path
from sret_search.model.files import CheckpointError, refusal
from sret_search.model.sret import SReT

_SHOWN = 5
_BLOCK = {
    "norm1.0": "norm1",
    "norm2.0": "norm2",
    "qkv": "attn.qkv",
    "proj": "attn.proj",
    "mlp": "mlp",
    "add1.skip": "coefficient1.bias",
    "add1.branch": "coefficient2.bias",
    "add2.skip": "coefficient3.bias",
    "add2.branch": "coefficient4.bias",
}
_NLL = {
    "norm": "norm1",
    "mlp": "mlp",
    "add.skip": "coefficient1.bias",
    "add.branch": "coefficient2.bias",
}


def load_official(path: Path | str, variant: str, permutation: Permutation | None = None) -> SReT:
    """A published model with the weights of an official `.pth` file, in the file's dtype.

    Args:
        path: a file with a state dict under the key "model". It is read as data only.
        variant: a name in `VARIANTS`, such as "sret_t" or "sret_s_unsliced_384".
        permutation: "official" draws `torch.randperm` as the official code does, in evaluation too;
            "stride" and "none" evaluate deterministically. None keeps the variant's permutation.

    Raises:
        CheckpointError: the file holds no such state dict, or names or shapes do not fit.
        OSError: the file cannot be read.
        ValueError: there is no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; there are {', '.join(VARIANTS)}")
    a = VARIANTS[variant]
    if permutation is not None:
        a = replace(a, permutation=permutation)
    path = named_path(str(path))
    try:
        with torch.serialization.safe_globals([Namespace]):  # the training's arguments lie beside
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  a damaged file may raise anything
        raise CheckpointError(f"{path} is not a checkpoint: {refusal(path, error)}") from None
    if not isinstance(content, Mapping) or not isinstance(content.get("model"), Mapping):
        raise CheckpointError(f"{path} has no state dict under the key 'model'")
    try:
        return from_official(content["model"], a)
    except CheckpointError as error:
        raise CheckpointError(f"{path} does not fit {variant}: {error}") from None


def from_official(official: Mapping[str, Tensor], a: Architecture) -> SReT:
    """A model with the weights of an official state dict.

    Raises:
        CheckpointError: keys are missing or unknown, shapes differ, or the entries of a shared
            tensor differ from each other.
    """
    if a.relax != Relax():
        raise CheckpointError(
            "official models share whole blocks, but this architecture has `relax`"
        )
    if a.loop != Loop() or a.norm != "pre":
        field = "loop" if a.loop != Loop() else "norm"
        raise CheckpointError(f"official models have no `{field}`, but this architecture has")
    model = SReT(a)
    wanted = model.state_dict()
    ours = {key: name for name in wanted for key in official_keys(name, a)}
    weights: dict[str, Tensor] = {}
    problems = [f"unknown {key}" for key in official if key not in ours]
    for key, name in ours.items():
        if key not in official:
            problems.append(f"missing {key}")
        elif official[key].shape != wanted[name].shape:
            shapes = f"{tuple(official[key].shape)} instead of {tuple(wanted[name].shape)}"
            problems.append(f"{key} has shape {shapes}")
        elif not torch.equal(weights.setdefault(name, official[key]), official[key]):
            problems.append(f"{key} differs from {official_keys(name, a)[0]}, which it shares")
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise CheckpointError("; ".join(problems[:_SHOWN]) + more)
    dtype = weights["head.weight"].dtype
    model.to(dtype).load_state_dict(weights)
    return model


def official_keys(name: str, a: Architecture) -> list[str]:
    """Official keys of a weight of an `SReT`, one for each time that it runs."""
    if part := re.fullmatch(r"stages\.(\d)\.(blocks|nlls)\.(\d+)\.(.+)", name):
        stage, kind, index, rest = int(part[1]), part[2], int(part[3]), part[4]
        parts = _BLOCK if kind == "blocks" else _NLL
        ours, theirs = next(item for item in parts.items() if rest.startswith(item[0]))
        places = [
            2 * i + (kind == "nlls")
            for i, run in enumerate(a.schedule(a.stages[stage]))
            if index == (run.block if kind == "blocks" else run.nll)
        ]
        rest = theirs + rest.removeprefix(ours)
        return [f"transformers.{stage}.blocks.{place}.{rest}" for place in places]
    if stem := re.fullmatch(r"stem\.(\d)\.(\w+)", name):
        layer, kind = divmod(int(stem[1]), 3)
        return [f"patch_embed.{'bn' if kind else 'conv'}{layer + 1}.{stem[2]}"]
    if pool := re.fullmatch(r"pools\.(\d)\.(\w+)", name):
        return [f"pools.{pool[1]}.conv.{pool[2]}"]
    return ["pos_embed" if name == "positions_1DSS" else name]
