"""Run a study: connect to Ray, train what the sampler asks for, keep it in the ledger."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from sret_search.search import sampling
from sret_search.search.ledger import Entry, Ledger
from sret_search.search.progress import Progress
from sret_search.study import Study, StudyError
from sret_search.study.preflight import cpus, gpus


@dataclass(frozen=True)
class Outcome:
    """How a run ended: trials in all, trained by this run, failed; and whether it is complete."""

    total: int
    trained: int
    failed: list[Entry]
    complete: bool


def search(study: Study, ledger: Ledger) -> Outcome:
    """Train what is left of a study.

    Raises:
        StudyError: the cluster has no such GPU, or does not answer.
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
    import ray

    _connect(study)
    try:
        slots, cpu, gpu = _resources(study)
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots)
        progress = _progress(study, entries, slots)
        with progress, _terminate_as_interrupt():
            _fit(study, ledger, slots, cpu, gpu, progress)
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
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise StudyError(f"{study.path}: no Ray cluster answers at {address}: {first}") from None


def _resources(study: Study) -> tuple[int, int, float]:
    """Trials at a time, and what each takes: CPUs, GPUs."""
    import ray

    there, compute = ray.cluster_resources(), study.file.compute
    all_cpus, all_gpus = float(there.get("CPU", 0)), float(there.get("GPU", 0))
    cpu = compute.cpus_per_trial
    slots = int(all_cpus // cpu)
    if slots < 1:
        raise StudyError(f"{study.path}: a trial asks for {cpu} CPUs, but there are {all_cpus:g}")
    share = min(1.0, all_gpus)
    if compute.concurrent != "auto":
        slots = min(slots, compute.concurrent)
        share = min(1.0, all_gpus / slots)
    gpu = share if compute.gpus_per_trial == "auto" else compute.gpus_per_trial
    if gpu > all_gpus:
        raise StudyError(f"{study.path}: a trial asks for {gpu:g} GPUs, but there are {all_gpus:g}")
    return min(slots, int(all_gpus / gpu)) if gpu else slots, cpu, gpu


def _progress(study: Study, entries: list[Entry], slots: int) -> Progress:
    ended = [entry for entry in entries if not entry.open]
    to_do = study.train_macs - sum(entry.train_macs for entry in ended)
    progress = Progress(total=max(study.trials, len(entries)), slots=slots, to_do=max(to_do, 0.0))
    for entry in ended:
        progress.count(entry)
    return progress


def _fit(
    study: Study, ledger: Ledger, slots: int, cpu: int, gpu: float, progress: Progress
) -> None:
    from ray import tune

    from sret_search.search.searcher import LedgerSearcher
    from sret_search.search.trainable import attempt_trial

    device = "cuda" if gpu else "cpu"
    searcher = LedgerSearcher(study, ledger, sampling.build(study), slots, device, progress)
    tune.Tuner(
        tune.with_resources(attempt_trial, {"cpu": cpu, "gpu": gpu}),
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
            verbose=0,
        ),
    ).fit()


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM stops a study as Ctrl-C does. Ray replaces the handler when it connects."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
