"""Made-up studies: whole ledgers whose trials trained nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sret_search.search import phases
from sret_search.search.samplers.base import Ask
from sret_search.study import Study, load_study
from sret_search.trials.history import History
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

ENVIRONMENT = {"torch": "2.13", "python": "3.12", "cpu": "made up", "threads": "1"}


def written(space: str, study: str, folder: str = ".") -> Study:
    """A study of two texts, loaded from the files that they are written to."""
    Path(folder).mkdir(exist_ok=True)
    Path(folder, "space.yaml").write_text(space, encoding="utf-8")
    Path(folder, "study.yaml").write_text(study, encoding="utf-8")
    return load_study(Path(folder, "study.yaml"))


def run(made: Study, result: Callable[[TrialRecord], dict[str, Any]], most: int = 1000) -> Study:
    """Train until there are so many trials, each to the result that is made up for it; those of
    an earlier run stay."""
    ledger = Ledger.create(made)
    asker, history = phases.build(made), History(made, ledger.entries())
    while len(history) < most and isinstance(ask := asker.ask(history), Ask):
        job = made.job(ask.candidate, made.file.search.seed + ask.seed, "cpu")
        entry = ledger.begin(job, ask.candidate.values, 1258, ask.role, ask.about)
        history.begin(entry)
        history.end(ledger.tell(entry, TrialResult.from_dict(result(entry))))
    ledger.close()
    return made


def complete(val: float, test: float | None = None, **others: Any) -> dict[str, Any]:
    """The result of a trial that was trained to its end."""
    return {
        "state": "complete", "val_accuracy": val, "val_loss": 1 - val,
        "test_accuracy": val if test is None else test, "epochs": 4, "seconds": 2.0,
        "reruns": [], "environment": ENVIRONMENT,
        "history": [
            {"epoch": e, "step": 20 * e, "train_loss": 2.3 / e, "val_loss": (1 - val) * 4 / e,
             "val_accuracy": val * e / 4, "seconds": e / 2}
            for e in range(1, 5)
        ],
    } | others  # fmt: skip
