"""`sret-search cost ARCHITECTURE`: the costs of an architecture, before it is trained."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from sret_search.architecture import Architecture
from sret_search.architecture.variants import VARIANTS
from sret_search.commands.arguments import command_line, positive
from sret_search.cost import MACS, PARAMS, cost, stored_bytes, train_memory
from sret_search.cost.storage import Storage
from sret_search.study import load_architecture
from sret_search.units import size_text

_DESCRIPTION = """\
Count the parameters, multiply-adds (MACs) of one image, depth and training memory of an
architecture in closed form: nothing is built or trained.

Memory is that of a training step in float32 with AdamW: weights, gradients, two moments, and
activations, either all kept or recomputed where they can be. PyTorch itself is not counted.
"""
_EXAMPLES = """\
cost sret_t
cost spaces/sret_depth.yaml --batch 32 --json"""

_STORAGES: dict[Storage, str] = {
    "float32": "float32",
    "bf16": "bf16",
    "int8": "int8, a scale for each channel",
}


def parser(prog: str) -> argparse.ArgumentParser:
    """The parser of `cost`."""
    named = f"{_DESCRIPTION}\nNamed variants: {', '.join(VARIANTS)}.\n"
    result = command_line(prog, named, _EXAMPLES)
    result.add_argument(
        "architecture",
        metavar="ARCHITECTURE",
        help="a named variant, or a YAML file: an architecture, or a space that has one",
    )
    result.add_argument("--batch", type=positive, default=64, help="images a step (64)")
    result.add_argument("--json", action="store_true", help="print a JSON object")
    return result


def main(argv: list[str], prog: str) -> None:
    """Print a table, or with --json an object.

    Raises:
        StudyError: there is no such variant or file, or the file has errors.
    """
    arguments = parser(prog).parse_args(argv)
    a = load_architecture(arguments.architecture)
    if arguments.json:
        print(json.dumps(as_dict(a, arguments.batch), indent=1))
    else:
        _print(arguments.architecture, a, arguments.batch)


def as_dict(a: Architecture, batch: int) -> dict[str, Any]:
    """Costs of an architecture as plain data; memory in bytes."""
    known = cost(a)
    return {
        "params": known.params,
        "params_once": known.params_once,
        "params_shared": known.params_shared,
        "params_per_execution": known.params_per_execution,
        "macs": known.macs,
        "executions": known.executions,
        "unique_blocks": known.unique_blocks,
        "sub_layers": known.sub_layers,
        "nlls": known.nlls,
        "breakdown": {"params": known.params_by_part, "macs": known.macs_by_part},
        "bytes": {storage: stored_bytes(a, storage) for storage in _STORAGES},
        "memory": {
            "batch": batch,
            "kept": train_memory(a, batch).total,
            "recomputed": train_memory(a, batch, budget=0).total,
        },
    }


def _print(name: str, a: Architecture, batch: int) -> None:
    known, console = cost(a), Console()
    columns = (known.params, known.params_by_part), (known.macs, known.macs_by_part)
    parts = Table(title=name, title_justify="left", show_footer=True)
    parts.add_column("part", footer="all")
    for column, total in (("params", known.params), ("macs", known.macs)):
        parts.add_column(column, footer=f"{total:,}", justify="right")
        parts.add_column("%", justify="right")
    for part in dict.fromkeys((*PARAMS, *MACS)):
        cells = []
        for total, by_part in columns:
            count = by_part.get(part, 0)
            share = f"{100 * count / total:.1f}"
            cells += [f"{count:,}", share] if count else ["", ""]
        if any(cells):
            parts.add_row(part, *cells)
    console.print(parts)

    rows = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows.add_column()
    rows.add_column(justify="right")
    rows.add_column(style="dim")
    kept, recomputed = train_memory(a, batch).total, train_memory(a, batch, budget=0).total
    for label, value, note in (
        ("parameters used once", f"{known.params_once:,}", ""),
        ("parameters shared", f"{known.params_shared:,}", "run more than once in a pass"),
        ("of one execution only", f"{known.params_per_execution:,}", "among those used once"),
        ("executions", f"{known.executions:,}", "runs of blocks: the depth of a study"),
        ("unique blocks", f"{known.unique_blocks:,}", ""),
        ("sub-layers", f"{known.sub_layers:,}", "attentions, MLPs and NLLs run"),
        ("NLLs", f"{known.nlls:,}", "distinct NLLs"),
        *(
            (
                "stored weights" if storage == "float32" else "",
                size_text(stored_bytes(a, storage)),
                note,
            )
            for storage, note in _STORAGES.items()
        ),
        ("training memory", _bytes(kept), f"batch {batch}, all kept"),
        ("", _bytes(recomputed), f"batch {batch}, recomputed"),
    ):
        rows.add_row(label, value, note)
    console.print(rows)


def _bytes(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
