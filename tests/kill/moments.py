"""Where each victim is hit: the durable writes of driver and worker, before, in and after them."""

from __future__ import annotations

from typing import Any

from kills import STUDIES, Fault

_STORAGE = "optuna.storages._rdb.storage:RDBStorage"
_COMMIT = "sqlalchemy.engine.default:DefaultDialect.do_commit"
_FOLDER = "sret_search.artifacts.trial_folders:TrialFolders.new_attempt:after"

SELF = ["kill", "self"]
ALL = ["kill", "all"]
RAYLET = ["kill", "raylet"]
GCS = ["kill", "gcs_server"]


def _database(function: str, when: str, n: int = 1, match: str | None = None) -> Fault:
    """In a function of Optuna's storage: before or after it commits."""
    fault: Fault = {"who": "driver", "where": f"{_COMMIT}:{when}", "inside": function, "n": n}
    if match is None:
        return fault
    return {"who": "driver", "where": f"{_STORAGE}.{function}:{when}", "match": match, "n": n}


def _file(name: str, when: str, n: int = 1, who: str = "worker") -> Fault:
    """At the rename that makes a file whole."""
    return {"who": who, "where": f"os:replace:{when}", "match": f"*/{name}", "n": n}


_BEGUN = _database("create_new_trial", "after", 2)
_FOLDER_MADE: Fault = {"who": "driver", "where": _FOLDER, "n": 2}
_OUTCOME_STORED = _database("set_trial_user_attr", "after", 2, "outcome")
_CHECKPOINT = _file("checkpoint-*.pt", "after", 2)
_RESULT = _file("result.json", "after")


def _then(fault: Fault, *actions: list[Any]) -> Fault:
    return fault | {"do": list(actions)}


DRIVER = {
    "study made, not yet described": _then(
        _database("create_new_study", "after"), SELF
    ),
    "description stored": _then(_database("set_study_user_attr", "after", 1, "study"), SELF),
    "before the commit of a trial": _then(_database("create_new_trial", "before", 2), SELF),
    "after the commit of a trial": _then(_BEGUN, SELF),
    "an attempt's folder made": _then(_FOLDER_MADE, SELF),
    "before an outcome is stored": _then(
        _database("set_trial_user_attr", "before", 2, "outcome"), SELF
    ),
    "outcome stored, trial not ended": _then(_OUTCOME_STORED, SELF),
    "before the commit that ends a trial": _then(
        _database("set_trial_state_values", "before"), SELF
    ),
    "after the commit that ends a trial": _then(_database("set_trial_state_values", "after"), SELF),
    "table of the report written": _then(_file("trials.csv", "after", who="driver"), SELF),
    "before the page of the report": _then(_file("report.html", "before", who="driver"), SELF),
}  # fmt: skip

WORKER = {
    "before it says who it is": _then(_file("worker.json", "before"), SELF),
    "after it said who it is": _then(_file("worker.json", "after"), SELF),
    "half of a checkpoint": _then(_file("checkpoint-*.pt", "before", 2), ["truncate", 0.5], SELF),
    "before a checkpoint's rename": _then(_file("checkpoint-*.pt", "before", 2), SELF),
    "after a checkpoint's rename": _then(_CHECKPOINT, SELF),
    "weights written": _then(_file("model.safetensors", "after"), SELF),
    "before the predictions' rename": _then(_file("predictions.npz", "before"), SELF),
    "before the result's rename": _then(_file("result.json", "before"), SELF),
    "after the result's rename": _then(_RESULT, SELF),
}

NODE = {
    "raylet, after the commit of a trial": _then(_BEGUN, RAYLET),
    "control service, an attempt's folder made": _then(_FOLDER_MADE, GCS),
    "raylet, after a checkpoint": _then(_CHECKPOINT, RAYLET),
    "both, after a result": _then(_RESULT, RAYLET, GCS),
    "raylet, outcome stored": _then(_OUTCOME_STORED, RAYLET),
    "control service, before a checkpoint": _then(_file("checkpoint-*.pt", "before", 2), GCS),
}

FILL = ["fill", "{work}/filler"]
DISK = {
    "before the commit of a trial": _then(_database("create_new_trial", "before", 2), FILL),
    "an attempt's folder made": _then(_FOLDER_MADE, FILL),
    "before a checkpoint's rename": _then(_file("checkpoint-*.pt", "before", 2), FILL),
    "after a checkpoint's rename": _then(_CHECKPOINT, FILL),
    "weights written": _then(_file("model.safetensors", "after"), FILL),
    "outcome stored, trial not ended": _then(_OUTCOME_STORED, FILL),
}

LOG = "{state}/study.db-wal"
TORN = {
    "checkpoint, no byte": _then(_file("checkpoint-*.pt", "after", 3), ["truncate", 0], ALL),
    "checkpoint, half": _then(_file("checkpoint-*.pt", "after", 3), ["truncate", 0.5], ALL),
    "checkpoint, all but the end": _then(
        _file("checkpoint-*.pt", "after", 3), ["truncate", 0.99], ALL
    ),
    "checkpoint, zeros": _then(_file("checkpoint-*.pt", "after", 3), ["blank"], ALL),
    "result, no byte": _then(_RESULT, ["truncate", 0], ALL),
    "result, half": _then(_RESULT, ["truncate", 0.5], ALL),
    "database, a byte of the last commit": _then(_BEGUN, ["shorten", LOG, 1], ALL),
    "database, a page, an attempt's folder made": _then(_FOLDER_MADE, ["shorten", LOG, 5000], ALL),
    "database, a page, a trial ended": _then(
        _database("set_trial_state_values", "after"), ["shorten", LOG, 5000], ALL
    ),
}

HOLD = ["hold"]
SECOND = {
    "study made, not yet described": _then(_database("create_new_study", "after"), HOLD),
    "before the commit of a trial": _then(_database("create_new_trial", "before", 2), HOLD),
    "after the commit of a trial": _then(_BEGUN, HOLD),
    "outcome stored, trial not ended": _then(_OUTCOME_STORED, HOLD),
    "before the commit that ends a trial": _then(
        _database("set_trial_state_values", "before", 3), HOLD
    ),
    "before the page of the report": _then(_file("report.html", "before", who="driver"), HOLD),
}

VICTIMS = {
    "driver": (DRIVER, 3),
    "worker": (WORKER, 4),
    "node": (NODE, 2),
    "disk full": (DISK, 1),
    "torn write": (TORN, 3),
    "second driver": (SECOND, 3),
}
"""The moments of each victim, and to how many of them each study comes."""

RUNGS = {
    "worker, before a rung's rename": _then(_file("rung-1.json", "before", 2), SELF),
    "worker, after a rung's rename": _then(_file("rung-1.json", "after", 4), SELF),
    "driver, before a rung is stored": _then(
        _database("set_trial_user_attr", "before", 3, "rungs"), SELF
    ),
    "driver, after a rung is stored": _then(
        _database("set_trial_user_attr", "after", 3, "rungs"), SELF
    ),
    "driver, one of several promoted": _then(
        _database("set_trial_user_attr", "after", 1, "until"), SELF
    ),
    "all, a rung torn": _then(_file("rung-2.json", "after", 2), ["truncate", 0.5], ALL),
    "driver, a trial stopped": _then(_database("set_trial_state_values", "after", 2), SELF),
}
"""Of the study under a scheduler, in the order of a run."""

_SAVED: Fault = {
    "who": "worker", "where": "sret_search.training.trainer:Trainer.save:after", "n": 3,
}  # fmt: skip
_ECC = ["raise", "CUDA error: uncorrectable ECC error encountered"]
_BUSY = ["raise", "CUDA error: all CUDA-capable devices are busy or unavailable"]
HARDWARE = {
    "too many open files as it says who it is": _then(
        _file("worker.json", "before"), ["raise", 24, "Too many open files"]
    ),
    "CUDA, a checkpoint saved": _then(_SAVED, _ECC),
    "an input/output error before a checkpoint's rename": _then(
        _file("checkpoint-*.pt", "before", 3), ["raise", 5, "Input/output error"]
    ),
    "a stale file handle before the result's rename": _then(
        _file("result.json", "before"), ["raise", 116, "Stale file handle"]
    ),
}  # fmt: skip
"""Errors of the machine, raised in a worker."""

_STARTED = "sret_search.training.train:train_as:before"
RANKS = {
    "busy GPU, before it begins": _then(
        {"who": "worker", "where": "torch.distributed:init_process_group:before", "n": 1}, _BUSY
    ),
    "one, before the first step": _then({"who": "worker", "where": _STARTED}, SELF),
    "one, after a checkpoint": _then(_CHECKPOINT, SELF),
    "all, after a checkpoint": _then(_CHECKPOINT, ["kill", "ranks"]),
}
"""Of a study whose trials are two processes each."""

STORM = ["storm"]
STORMS = {
    "a checkpoint saved": _then(_CHECKPOINT, STORM),
    "before the commit that ends a trial": _then(
        _database("set_trial_state_values", "before") | {"of": "a later run"}, STORM
    ),
    "table of the report written": _then(
        _file("trials.csv", "after", who="driver") | {"of": "a later run"}, STORM
    ),
}
"""SIGTERM again and again until the driver has ended."""

AWAY = {
    "before the commit of a trial": _then(_database("create_new_trial", "before", 2), HOLD),
    "before an outcome is stored": _then(
        _database("set_trial_user_attr", "before", 2, "outcome"), HOLD
    ),
    "before the commit that ends a trial": _then(
        _database("set_trial_state_values", "before", 2), HOLD
    ),
    "after the commit that ends a trial": _then(
        _database("set_trial_state_values", "after", 3), HOLD
    ),
}
"""The server of the database is away until the run says so."""


def share(victim: str, study: str) -> dict[str, Fault]:
    """Moments of a victim for a study, in the order of a run; all studies come to all of them."""
    cells, count = VICTIMS[victim]
    first, names = STUDIES.index(study) * count, list(cells)
    places = sorted((first + i) % len(names) for i in range(count))
    return {names[place]: cells[names[place]] for place in places}
