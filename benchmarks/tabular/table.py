"""A table of trainings, made of the ledgers of study.yaml and seeds.yaml.

    python -m sret_search.run benchmarks/tabular/study.yaml   # in blocks, until it exits with 0
    python benchmarks/tabular/table.py pack                   # after each: the ledgers, for git
    python benchmarks/tabular/table.py unpack                 # elsewhere: go on with the same command
    python benchmarks/tabular/table.py collect                # trials.parquet and curves.parquet
    python benchmarks/tabular/table.py describe               # its time and noise, for the data card

With --held-back, the same of the study in held_back/.

A ledger is packed as SQL without its trials' folders, so that trials that have no end are trained
from their beginning where it is unpacked; those that have ended are not trained again.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sret_search.reporting.results import Results
from sret_search.study import Study, load_study
from sret_search.trials import study_attributes
from sret_search.trials.trial import TrialRecord

HERE = Path(__file__).parent
HELD_BACK = HERE / "held_back"
STUDIES, TRIALS, CURVES = ("study.yaml", "seeds.yaml"), "trials.parquet", "curves.parquet"
"""Files of a table, in its folder."""

_LEVELS = (0, 0.6, 0.8, 0.9, 0.93, 1)
_ENDS = ("val_loss", "val_accuracy", "test_loss", "test_accuracy")
_CURVES = ("step", *_ENDS, "train_loss", "seconds")


def studies_of(folder: Path) -> list[Study]:
    """The studies that a table is made of."""
    return [load_study(folder / name) for name in STUDIES if (folder / name).exists()]


def trials_of(study: Study) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of a study's ended trials, and those of their epochs.

    Raises:
        StudyError: it was never run, or cannot be read.
    """
    ended = [entry for entry in Results.read(study).entries if not entry.open]
    epochs = [
        {"candidate": entry.candidate, "seed": entry.seed, "epoch": epoch.epoch}
        | {name: getattr(epoch, name) for name in _CURVES}
        for entry in ended
        for epoch in entry.result.history
    ]
    return [_row(study.name, entry) for entry in ended], epochs


def _row(study: str, entry: TrialRecord) -> dict[str, Any]:
    result, environment = entry.result, entry.result.environment
    return {
        "candidate": entry.candidate,
        "seed": entry.seed,
        "study": study,
        "trial": entry.number,
        "state": entry.state,
        **entry.values,
        **entry.cost,
        **{name: getattr(result, name) for name in _ENDS},
        "seconds": result.seconds,
        "epochs": result.epochs,
        "steps": result.steps,
        "attempts": result.attempts,
        **{f"{name}_version": environment.get(name) for name in ("python", "torch")},
        "cpu": environment.get("cpu"),
    }


def collect(studies: list[Study], trials: Path, curves: Path) -> None:
    """Write the table: a row a training, and a row an epoch, both by candidate and seed."""
    found = [trials_of(study) for study in studies]
    for path, place in ((trials, 0), (curves, 1)):
        table = pd.DataFrame([row for rows in found for row in rows[place]])
        order = ["candidate", "seed", *(["epoch"] if place else [])]
        table = table.sort_values(order, ignore_index=True)
        assert not table.duplicated(order).any(), f"{path.name} would have a training twice"
        table.to_parquet(path, compression="zstd", index=False)
        print(f"{path.name}: {len(table):,} rows, {path.stat().st_size / 1e6:.2f} MB")


def describe(trials: pd.DataFrame) -> str:
    """Time and noise of the table, as Markdown."""
    ended = trials[trials.state == "complete"]
    seconds = trials.seconds
    lines = [
        f"{len(trials):,} trainings of {trials.candidate.nunique():,} candidates;"
        f" {len(trials) - len(ended)} did not end as complete.",
        f"Seconds a training: median {seconds.median():.2f}, mean {seconds.mean():.2f},"
        f" 95 % below {seconds.quantile(0.95):.2f}, in all {seconds.sum() / 3600:.2f} hours.",
        "",
        "| mean validation accuracy | candidates | validation accuracy | test accuracy"
        " | validation loss | test loss |",
        "|---|---|---|---|---|---|",
    ]
    of_one = ended.groupby("candidate")
    names = ("val_accuracy", "test_accuracy", "val_loss", "test_loss")
    deviations = of_one[list(names)].var()
    level = pd.cut(of_one.val_accuracy.mean(), list(_LEVELS))
    for bounds, of_level in deviations.groupby(level, observed=True):
        sd = of_level.mean() ** 0.5
        points = " | ".join(f"{100 * sd[name]:.1f} points" for name in names[:2])
        losses = " | ".join(f"{sd[name]:.3f}" for name in names[2:])
        lines.append(
            f"| {100 * bounds.left:.0f} to {100 * bounds.right:.0f} % | {len(of_level)}"
            f" | {points} | {losses} |"
        )
    means = of_one[list(names)].mean()
    rank = means.val_accuracy.corr(means.test_accuracy, method="spearman")
    lines += ["", f"Rank correlation of mean validation and mean test accuracy: {rank:.3f}."]
    return "\n".join(lines)


def pack(study: Study) -> Path:
    """Write the ledger of a study as compressed SQL, the same bytes each time; its file."""
    database = f"{_database(study).resolve().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(database, uri=True)) as there,
        closing(sqlite3.connect(":memory:")) as copy,
    ):
        there.backup(copy)
        _forget_place(copy, study)
        text = "\n".join(copy.iterdump())
    file = packed(study)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    return file


def unpack(study: Study) -> Path:
    """Put the ledger of a study where a run looks for it; its file.

    Raises:
        FileExistsError: there is a ledger already.
    """
    text = lzma.decompress(packed(study).read_bytes()).decode()
    database = _database(study)
    if database.exists():
        raise FileExistsError(f"{database} is there already")
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database)) as made:
        made.executescript(text)
    return database


def packed(study: Study) -> Path:
    """Where its ledger lies for git."""
    return study.path.parent / "ledger" / f"{study.name}.sql.xz"


def _database(study: Study) -> Path:
    return study.folder / "study.db"


def _forget_place(ledger: sqlite3.Connection, study: Study) -> None:
    """Let the study's file be called what it is called everywhere, not where it lay."""
    rows = ledger.execute("SELECT key, value_json FROM study_user_attributes").fetchall()
    known = study_attributes.read({key: json.loads(text) for key, text in rows}, str(study.folder))
    assert known.description is not None
    name = study.path.name
    known = replace(
        known,
        description=known.description.at_no_place(name),
        declarations=tuple(
            replace(each, description=each.description.at_no_place(name))
            for each in known.declarations
        ),
    )
    keys: tuple[study_attributes.Name, ...] = ("study", "declarations")
    for key in keys:
        stored = json.dumps(known.stored(key))
        ledger.execute(
            "UPDATE study_user_attributes SET value_json = ? WHERE key = ?", [stored, key]
        )
    ledger.commit()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["collect", "describe", "pack", "unpack"])
    parser.add_argument("--held-back", action="store_true", help="the table of held_back/")
    arguments = parser.parse_args()
    command, folder = arguments.command, HELD_BACK if arguments.held_back else HERE
    if command == "describe":
        print(describe(pd.read_parquet(folder / TRIALS)))
        return 0
    studies = studies_of(folder)
    needed = packed if command == "unpack" else _database
    there = [study for study in studies if needed(study).exists()]
    for study in studies:
        if study not in there:
            print(f"{study.name}: no {needed(study)} to {command}", file=sys.stderr)
    if command == "collect":
        collect(there, folder / TRIALS, folder / CURVES)
        return 0
    for study in there:
        try:
            path = pack(study) if command == "pack" else unpack(study)
        except FileExistsError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
