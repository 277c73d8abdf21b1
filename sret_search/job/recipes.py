"""Recipes with a name. A study says `recipe: deit`, or `recipe: {name: deit, epochs: 100}`."""

from __future__ import annotations

from typing import Any

_DEIT: dict[str, Any] = {
    "epochs": 300, "warmup": 5, "batch_size": 1024, "lr": 1e-3, "lr_start": 1e-6, "lr_end": 1e-5,
    "weight_decay": 0.05, "clip_grad_norm": None, "label_smoothing": 0.1, "ema": 0.99996,
    "precision": "bf16", "compile": True,
    "augment": {
        "crop": [0.08, 1.0], "flip": True, "color_jitter": 0.4, "randaugment": 9, "erasing": 0.25,
        "mixup": 0.8, "cutmix": 1.0, "repeats": 3,
    },
}  # fmt: skip

RECIPES: dict[str, dict[str, Any]] = {
    # Touvron et al., 2012.12877, and the defaults of its published code; lr 5e-4 · batch / 512.
    "deit": _DEIT,
    # The same with what SReT's authors advise: lr 1e-3 · batch / 512 and 30 epochs of warmup.
    "sret": _DEIT | {"lr": 2e-3, "warmup": 30},
    # For a thousand images of handwriting: studies/small_search.yaml showed no better recipe.
    "small": {
        "epochs": 40, "warmup": 3, "batch_size": 64, "lr": 4e-3, "label_smoothing": 0.1,
        "ema": 0.99,
        "augment": {"rotate": 10.0, "shear": 5.0, "translate": 0.08, "zoom": 1.1},
    },
}  # fmt: skip
