"""Run a study: connect to Ray, train what the sampler asks for, keep it in the ledger."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sret_search.search import sampling
from sret_search.search.ledger import Entry, Ledger
from sret_search.search.progress import Progress
from sret_search.study import Study, StudyError
from sret_search.study.preflight import cpus, gpus

if TYPE_CHECKING:
    from ray.tune import Callback


_TOKEN = (
    "; a cluster that was started where ~/.ray/auth_token lies asks for that token:"
    " set RAY_AUTH_MODE=token"
)


@dataclass(frozen=True)
class Slots:
    """How many trials run at a time, and the CPUs and GPUs that each takes."""

    number: int
    cpus: int
    gpus: float


@dataclass(frozen=True)
class Outcome:
    """How a run ended: trials in all, trained by this run, failed; and whether it is complete."""

    total: int
    trained: int
    failed: list[Entry]
    complete: bool


def see_data(study: Study) -> Study:
    """The study with its data looked at, so that what is wrong with it is said before anything
    is trained. The digits are known.

    Raises:
        StudyError: files that are missing or cannot be read, or do not fit the architecture.
    """
    if study.file.data.source == "digits":
        return study
    from sret_search.training import data

    try:
        split = data.load(study.file.data)
        data.check(split, study.space.architecture)
    except data.DataError as error:
        raise StudyError(f"{study.path}: {error}") from None
    return replace(study, seen=(len(split.train), len(split.val), len(split.test)))


def search(study: Study, ledger: Ledger) -> Outcome:
    """Train what is left of a study.

    Raises:
        StudyError: the cluster has no such GPU, or does not answer; or a trial could not read
            its data.
    """
    for entry in ledger.entries():
        if entry.open:
            ledger.adopt(entry.number)
    before = ledger.entries()
    if _is_complete(study, before):
        return Outcome(len(before), 0, [e for e in before if e.state == "failed"], True)
    with suppress(KeyboardInterrupt):
        _train(study, ledger, before)
    after = ledger.entries()
    ended_before = sum(not entry.open for entry in before)
    return Outcome(
        total=max(study.trials, len(after)),
        trained=sum(not entry.open for entry in after) - ended_before,
        failed=[entry for entry in after if entry.state == "failed"],
        complete=_is_complete(study, after),
    )


def _is_complete(study: Study, entries: list[Entry]) -> bool:
    return not any(e.open for e in entries) and sampling.build(study).ask(entries) is None


def _train(study: Study, ledger: Ledger, entries: list[Entry]) -> None:
    # Read by Ray when it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")
    os.environ.setdefault("TUNE_WARN_THRESHOLD_S", "60")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    import ray

    from sret_search.search import stopping

    _connect(study)
    try:
        slots = _slots(study)
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots.number)
        progress = _progress(study, entries, slots)
        with progress, stopping.stop_between_steps(progress.write) as callback:
            _fit(study, ledger, slots, progress, callback)
    finally:
        ray.shutdown()
        shutil.rmtree(study.folder / "ray", ignore_errors=True)


def _connect(study: Study) -> None:
    import ray

    address = study.file.compute.address
    if address == "local":
        ray.init(
            address="local",
            num_cpus=cpus(),
            num_gpus=gpus(),
            object_store_memory=100 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
        )
        return
    try:
        if ":" in address:
            # Ray itself would try for many minutes.
            host, port = address.rsplit(":", 1)
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        hint = "" if "RAY_AUTH_MODE" in os.environ else _TOKEN
        reason = str(error).splitlines()[0]
        raise StudyError(f"{study.path}: no Ray cluster at {address}: {reason}{hint}") from None


def _slots(study: Study) -> Slots:
    import ray

    there, compute = ray.cluster_resources(), study.file.compute
    all_cpus, all_gpus = float(there.get("CPU", 0)), float(there.get("GPU", 0))
    cpus_each = compute.cpus
    number = int(all_cpus // cpus_each)
    if number < 1:
        raise StudyError(f"{study.path}: a trial asks for {cpus_each} CPUs, there are {all_cpus:g}")
    share = min(1.0, all_gpus)
    if compute.concurrent != "auto":
        number = min(number, compute.concurrent)
        share = min(1.0, all_gpus / number)
    gpus_each = share if compute.gpus_per_trial == "auto" else compute.gpus_per_trial
    if gpus_each > all_gpus:
        raise StudyError(
            f"{study.path}: a trial asks for {gpus_each:g} GPUs, there are {all_gpus:g}"
        )
    if gpus_each:
        number = min(number, int(all_gpus / gpus_each))
    return Slots(number, cpus_each, gpus_each)


def _progress(study: Study, entries: list[Entry], slots: Slots) -> Progress:
    ended = [entry for entry in entries if not entry.open]
    to_do = study.train_macs - sum(entry.train_macs for entry in ended)
    progress = Progress(
        total=max(study.trials, len(entries)), slots=slots.number, to_do=max(to_do, 0.0)
    )
    for entry in ended:
        progress.count(entry)
    return progress


def _fit(
    study: Study, ledger: Ledger, slots: Slots, progress: Progress, callback: Callback
) -> None:
    from ray import tune

    from sret_search.search.searcher import LedgerSearcher
    from sret_search.search.trainable import attempt_trial

    sampler = sampling.build(study)
    searcher = LedgerSearcher(study, ledger, sampler, slots.number, slots.gpus, progress)
    tune.Tuner(
        tune.with_resources(attempt_trial, {"cpu": slots.cpus, "gpu": slots.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="attempts",
            storage_path=str((study.folder / "ray").resolve()),
            failure_config=tune.FailureConfig(max_failures=0),
            callbacks=[callback],
            verbose=0,
        ),
    ).fit()
    if searcher.unreadable is not None:
        raise StudyError(f"{study.path}: {searcher.unreadable}")
