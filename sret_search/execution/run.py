"""A run of a study: connect to Ray, train the trials that the sampler asks for, record them."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sret_search.config.problems import shown
from sret_search.execution import disk_space, signals
from sret_search.execution.branches import next_branch
from sret_search.execution.messages import AttemptOrder
from sret_search.execution.progress import Progress
from sret_search.planning.plan import least_trials, train_macs_planned
from sret_search.search import phases
from sret_search.study import Study, StudyError
from sret_search.trials import retention
from sret_search.trials.database import LedgerLostError
from sret_search.trials.history import History
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial import TrialRecord

if TYPE_CHECKING:
    from sret_search.execution.callbacks import CallbackAdapter
    from sret_search.execution.node_exclusion import NodeExclusion
    from sret_search.execution.resources import Slots
    from sret_search.execution.searcher import LedgerSearcher
    from sret_search.execution.shutdown import Stopping

_NAMED = 8
"""Trials that a message names by number, at most."""
_PAUSE = 1.0
"""Seconds between two attempts to write to a full disk, or to a server that is away."""
_REMIND = 60.0
"""Seconds after which the message that a study is paused is repeated."""
_CLUSTER = 5.0
"""Seconds between two checks of the cluster's resources."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Attributes:
        total: number of trials of the study.
        trained: number of trials that this run ended.
        failed: all failed trials of the study.
        complete: whether all trials that the study asks for have ended.
        used_up: number of candidates of the space, if it is smaller than the study asks for.
    """

    total: int
    trained: int
    failed: list[TrialRecord]
    complete: bool
    used_up: int | None


def search(
    study: Study,
    ledger: Ledger,
    work: Callable[..., None] | None = None,
    abandon: Callable[[], None] = lambda: None,
) -> Outcome:
    """Train the remaining trials of a study.

    Args:
        work: function that a worker runs for a trial, in place of training.
        abandon: ends this process, if Ray has died and this function can never return.

    Raises:
        StudyError: the disk has no space, the cluster does not answer or has no such GPU, or a
            trial could not read its data.
        LedgerLostError, StudyHeldError: the ledger could no longer be written.
    """
    entries = [_adopted(ledger, entry) for entry in ledger.entries()]
    _say_missing(study, ledger, entries)
    history = History(study, entries, ledger.window)
    before = sum(not entry.open for entry in entries)
    if not _is_complete(study, ledger, history):
        print(disk_space.check_space(study), flush=True)
        try:
            history = _train(study, ledger, history, work, abandon)
        except KeyboardInterrupt:  # while Ray shuts down, perhaps after the last trial
            history = History(study, ledger.entries(), ledger.window)
    complete = _is_complete(study, ledger, history)
    return Outcome(
        total=len(history) if complete else max(least_trials(study), len(history)),
        trained=sum(not entry.open for entry in history.entries) - before,
        failed=[entry for entry in history.entries if entry.state == "failed"],
        complete=complete,
        used_up=_used_up(study, history) if complete else None,
    )


def _say_missing(study: Study, ledger: Ledger, entries: list[TrialRecord]) -> None:
    """Warn of trials whose folders are missing, and of the consequences."""
    folders = ledger.folders
    gone = retention.without_folder(folders.all_attempts(), entries)
    if not gone:
        return
    numbers = ", ".join(map(str, gone[:_NAMED])) + (", …" if len(gone) > _NAMED else "")
    where = ""
    if ledger.last_root is not None:
        where = f"; they were in {ledger.last_root} when it last ran"
        if study.file.storage.trials is None:
            where += ": name one place for all as storage.trials, beside storage.url"
    print(
        f"{folders.name} lacks the folders of {len(gone):,} of {len(entries):,} trials ({numbers}):"
        " their results are in the ledger, but these trials cannot be exported, continued or"
        f" compared image by image{where}",
        file=sys.stderr,
    )


def _used_up(study: Study, history: History) -> int | None:
    """The number of candidates, if the space has fewer than the sampler is asked for; else None."""
    if study.file.search.entry.exhaustive or len(history.current_values) >= study.trials:
        return None
    return len(history.firsts)


def _adopted(ledger: Ledger, entry: TrialRecord) -> TrialRecord:
    """A trial with the outcome that an earlier run could not record."""
    result = ledger.outcome(entry) if entry.open else None
    return entry if result is None else ledger.tell(entry, result)


def _is_complete(study: Study, ledger: Ledger, history: History) -> bool:
    if any(entry.open for entry in history.entries):
        return False
    if phases.build(study).ask(history) is not None:
        return False
    try:
        return next_branch(study, ledger, history) is None
    except StudyError as error:
        raise StudyError(f"{shown(study.path)}: {error}") from None


def _train(
    study: Study,
    ledger: Ledger,
    history: History,
    work: Callable[..., None] | None,
    abandon: Callable[[], None],
) -> History:
    from sret_search.execution import local_ray, nodes, ray_cluster
    from sret_search.execution.resources import slots

    with ray_cluster.connected(study) as tune_folder:
        from sret_search.execution import callbacks
        from sret_search.execution.node_exclusion import NodeExclusion
        from sret_search.execution.searcher import PREFETCH, LedgerSearcher
        from sret_search.execution.shutdown import Stopping

        nodes.check(study, ledger.folders.root)
        named = callbacks.named(study)
        first = slots(study)
        left_out = NodeExclusion(lambda: nodes.with_room(first.cpus, first.gpus))
        first = _without_blind(study, first, left_out)
        ledger.freeze(first.number + PREFETCH)
        history = history.under(ledger.window)
        progress = _progress(study, history.entries, first)
        ledger.folders.clear_stop()
        hours = study.file.compute.max_hours
        stopping = Stopping(ledger.folders.ask_to_stop, progress.write, hours)
        for_space, for_server = (
            _waiting(progress, stopping, until) for until in ("there is room", "its server answers")
        )
        ledger.wait_for_space = for_space
        ledger.wait_for_server = lambda away: for_server(str(away))
        needed = [branch.trial for branch in study.file.branches]
        keeper = retention.Keeper(ledger.folders, retention.quota(study), needed)
        keeper.restore(history.entries)
        searcher = LedgerSearcher(
            study,
            ledger,
            history,
            phases.build(study),
            _looked_up(study, first, left_out),
            stopping,
            progress,
            keeper,
            disk_space.Watermark(study, first.number),
            left_out,
        )
        adapters = [
            callbacks.CallbackAdapter(callback, path, searcher.entry_of, progress.write)
            for callback, path in zip(named, study.file.compute.callbacks, strict=True)
        ]
        watched = local_ray.watched(_dead(progress, stopping), abandon)
        with suppress(KeyboardInterrupt), progress, stopping.on_signals(), watched:
            signals.raise_swallowed()
            while not searcher.over:
                searcher.renew()
                _fit(searcher, first, tune_folder, work, adapters)
            signals.note()
        if searcher.lost is not None:
            raise searcher.lost
        if searcher.trouble is not None:
            raise StudyError(searcher.trouble)
    return history


def _without_blind(study: Study, first: Slots, left_out: NodeExclusion) -> Slots:
    """The slots without the nodes that declare more GPUs than torch sees on them.

    Raises:
        StudyError: no other node is left.
    """
    from sret_search.execution import nodes
    from sret_search.execution.resources import slots

    blind = nodes.without_cuda(first.cpus, first.gpus)
    if not blind:
        return first
    if len(blind) == len(nodes.with_room(first.cpus, first.gpus)):
        problems = "; ".join(blind.values())
        raise StudyError(f"{shown(study.path)}: {problems}; {nodes.MEND_GPUS}")
    for node, problem in blind.items():
        print(f"the node {problem}: it gets no trials", flush=True)
        left_out.leave(node)
    return slots(study, first, left_out.ids)


def _looked_up(study: Study, first: Slots, left_out: NodeExclusion) -> Callable[[], Slots]:
    """A function that returns the slots, checked again at intervals as nodes join and leave."""
    from sret_search.execution.resources import slots

    looked, latest = time.monotonic(), first

    def current() -> Slots:
        nonlocal looked, latest
        if study.file.compute.address != "local" and time.monotonic() - looked > _CLUSTER:
            looked, latest = time.monotonic(), slots(study, first, left_out.ids)
        return latest

    return current


def _waiting(progress: Progress, stopping: Stopping, until: str) -> Callable[[str], None]:
    """A function that waits while the disk of the database is full or its server is away. It prints
    a message at intervals."""
    last_message = last_wait = -math.inf

    def wait(reason: str) -> None:
        nonlocal last_message, last_wait
        now = time.monotonic()
        # The run had continued, or the last message is old.
        if now - last_wait > 2 * _PAUSE or now - last_message > _REMIND:
            progress.pause(reason, until)
            last_message = now
        if stopping.look():
            raise LedgerLostError(reason)
        time.sleep(_PAUSE)
        last_wait = now

    return wait


def _dead(progress: Progress, stopping: Stopping) -> Callable[[str], None]:
    """A function that stops the run when Ray has died, without waiting for checkpoints."""

    def died(why: str) -> None:
        stopping.now()
        if progress.live is not None:
            progress.live.stop()  # the main thread may never return to do this
        progress.write(f"stopping: {why}")

    return died


def _progress(study: Study, entries: list[TrialRecord], slots: Slots) -> Progress:
    ended = [entry for entry in entries if not entry.open]
    to_do = train_macs_planned(study) - sum(map(_trained, ended))
    progress = Progress(
        total=max(least_trials(study), len(entries)),
        slots=slots.number,
        to_do=max(to_do, 0.0),
    )
    for entry in ended:
        progress.count(entry)
    return progress


def _trained(entry: TrialRecord) -> float:
    """Multiply-adds of an ended trial. A failed trial counts as if trained to its end."""
    if entry.state != "stopped" or entry.result.epochs is None:
        return entry.train_macs
    return entry.train_macs * entry.result.epochs / entry.job.recipe.length


def _fit(
    searcher: LedgerSearcher,
    slots: Slots,
    folder: Path,
    work: Callable[..., None] | None,
    adapters: list[CallbackAdapter],
) -> None:
    from ray import tune

    from sret_search.execution.attempts import ErrorListener
    from sret_search.execution.worker import attempt_trial

    # The searcher limits the number of waiting trials, not Ray.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "100000"
    try:
        tune.Tuner(
            tune.with_resources(work or attempt_trial, _placed(slots)),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="attempts",
                storage_path=str(folder),
                failure_config=tune.FailureConfig(max_failures=0),
                callbacks=[searcher.stopping, ErrorListener(searcher.died), *adapters],
                verbose=0,
            ),
        ).fit()
    finally:
        shutil.rmtree(folder / "attempts", ignore_errors=True)


def _placed(slots: Slots) -> Callable[[dict[str, Any]], Any]:
    """A function that gives Tune the resources of an attempt and the nodes to avoid."""

    def placed(config: dict[str, Any]) -> Any:
        from ray.tune import PlacementGroupFactory
        from ray.util.placement_group import NODE_ID_LABEL_KEY

        takes = {"CPU": float(slots.cpus), **({"GPU": slots.gpus} if slots.gpus else {})}
        avoided = AttemptOrder.from_dict(config).avoided
        if not avoided:
            return PlacementGroupFactory([takes])
        elsewhere = {NODE_ID_LABEL_KEY: f"!in({','.join(avoided)})"}
        return PlacementGroupFactory([takes], bundle_label_selector=[elsewhere])

    return placed
