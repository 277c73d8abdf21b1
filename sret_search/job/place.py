"""Where the trials of a study lie, one folder each."""

from __future__ import annotations

from pathlib import Path

_TRIAL = "trial "


def trial_folder(trials: Path, number: int) -> Path:
    """The folder of a trial, in that of all trials of its study."""
    return trials / f"{number:05d}"


def located(name: str, trials: Path) -> str:
    """The name of a model, where "trial N" is that trial's folder."""
    if not name.startswith(_TRIAL):
        return name
    return str(trial_folder(trials, int(name.removeprefix(_TRIAL))))
