"""`python -m sret_search.run STUDY`: load a study, search, report."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sret_search import terminal
from sret_search.config.problems import shown, typed
from sret_search.errors import BUG, DONE, INPUT, STOPPED, InputError, one_line
from sret_search.execution import signals, supervisor
from sret_search.job.paths import is_url, named_path
from sret_search.planning import preflight
from sret_search.study import Study, load_study

if TYPE_CHECKING:
    from sret_search.trials.lease import Lease
    from sret_search.trials.ledger import Ledger

_DESCRIPTION = """\
Train the candidates of a study, keep every result, and draw its report.

The same command resumes a study that was stopped or killed: no finished trial runs again.
State is in runs/<study>/, the report in reports/<study>/, both in this directory.

exit codes: 0 done, 2 an error in your files, 3 stopped before the study was complete
(run again to resume), 1 a trial or this program failed
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """The parser of `run`."""
    result = argparse.ArgumentParser(
        prog=prog,
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  python -m sret_search.run studies/depth_scaling.yaml\n"
        "  sret-search run studies/smoke.yaml --fresh",
    )
    result.add_argument("study", metavar="STUDY", type=named_path, help="a study file (YAML)")
    result.add_argument(
        "--fresh",
        action="store_true",
        help="keep the old study aside as runs/<study>.<time>/ and start anew",
    )
    result.add_argument(
        "--retry-failed",
        action="store_true",
        help="train the failed trials again, and no others",
    )
    return result


def main(argv: list[str] | None = None, prog: str = "python -m sret_search.run") -> int:
    """Run the command in a supervised process and return its exit code."""
    terminal.prepare()
    try:
        arguments = parser(prog).parse_args(argv)
    except InputError as error:
        print(error, file=sys.stderr)
        return INPUT
    return supervisor.driven(lambda: _main(arguments), lambda: _ended(arguments.study))


def _main(arguments: argparse.Namespace) -> int:
    try:
        with signals.interrupting():
            study = load_study(arguments.study)
            preflight.check(study)
            return run(study, fresh=arguments.fresh, retry_failed=arguments.retry_failed)
    except InputError as error:
        print(error, file=sys.stderr)
        return INPUT
    except KeyboardInterrupt:
        print(_resume(arguments.study), file=sys.stderr)
        return STOPPED


def _ended(path: Path) -> int:
    """Draw the report and say how to resume, after the process that drove a study was ended from
    outside."""
    from sret_search.reporting.write import write_report

    signals.note()
    with suppress(InputError, KeyboardInterrupt), signals.interrupting():
        print(f"report: {shown(write_report(load_study(path)))}")
    print(_resume(path), file=sys.stderr)
    return STOPPED


def run(study: Study, *, fresh: bool, retry_failed: bool = False) -> int:
    """Search and report; return the exit code."""
    from sret_search.artifacts.trial_folders import TrialFolders
    from sret_search.execution.local_ray import CannotStartError, NotStartedError
    from sret_search.planning.user_inputs import check_inputs
    from sret_search.trials import lease
    from sret_search.trials.database import DatabaseAwayError, LedgerLostError

    if is_url(study.trials_root):
        TrialFolders(study.trials_root).check()
    try:
        with lease.hold(study, supervisor.pid()) as held:
            study = check_inputs(study)
            if fresh:
                _keep_aside(study)
            return _run(study, held, retry_failed)
    except lease.StudyHeldError as held_by_another:
        print(held_by_another, file=sys.stderr)
        return STOPPED
    except CannotStartError as error:
        print(error, file=sys.stderr)
        return INPUT
    except (LedgerLostError, DatabaseAwayError, NotStartedError) as lost:
        print(f"{lost}\n{_resume(study.path)}", file=sys.stderr)
        return STOPPED


def _run(study: Study, lease: Lease, retry_failed: bool) -> int:
    from sret_search.execution.run import search
    from sret_search.planning.plan import untrained_parts
    from sret_search.trials.ledger import Ledger

    ledger = Ledger.create(study, lease)
    if ledger.last_path is not None:
        print(
            f"{study.folder} was last run from {one_line(ledger.last_path)},"
            f" now from {one_line(str(study.path.resolve()))}"
        )
    print(_greeting(study), flush=True)
    untrained = untrained_parts(study)
    if untrained is not None:
        print(untrained, flush=True)
    if retry_failed:
        _retry_failed(ledger)
    outcome = search(study, ledger, abandon=supervisor.leave)
    signals.note()
    ledger.close()

    from sret_search.reporting.write import write_report

    if outcome.trained == 0 and outcome.complete:
        print(f"nothing to train: all {outcome.total} trials ended in an earlier run")
    if outcome.used_up is not None:
        seeds = study.file.search.seeds
        each = f", each trained with {seeds} seeds" if seeds > 1 else ""
        print(
            f"the space has only {outcome.used_up:,} different candidates within its budget{each}:"
            f" there is nothing to train for the rest of the {study.trials:,} trials asked for"
        )
    page = write_report(study)
    print(f"report: {shown(page)}")
    for entry in outcome.failed:
        print(f"trial {entry.number} failed: {entry.result.reason}", file=sys.stderr)
    if not outcome.complete:
        print(_resume(study.path), file=sys.stderr)
        return STOPPED
    return BUG if outcome.failed else DONE


def _retry_failed(ledger: Ledger) -> None:
    failed = [entry for entry in ledger.entries() if entry.state == "failed"]
    for entry in failed:
        ledger.retry(entry)
    numbers = ", ".join(str(entry.number) for entry in failed)
    print(f"tried again: {f'trial {numbers}' if failed else 'no trial, since none failed'}")


def _greeting(study: Study) -> str:
    recipe = study.file.recipe
    length = f"{recipe.length:,} {recipe.unit if recipe.length != 1 else recipe.unit[:-1]}"
    if recipe.unit == "macs":
        length = f"{recipe.length:.3g} multiply-adds"
    text = f"study {study.name}: {study.trials} trials of {length}"
    if study.file.search.entry.exhaustive:
        costs = [candidate.cost for candidate in study.grid]
        text += f", {_range([c.executions for c in costs])} executions"
        text += f", {_range([c.params for c in costs])} parameters"
    return f"{text}; state in {study.folder}/"


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _keep_aside(study: Study) -> None:
    """Rename the ledger and the folders of trials. The lease stays, since it is held."""
    from sret_search.artifacts.trial_folders import TrialFolders
    from sret_search.trials.database import set_aside

    now = time.strftime("%Y%m%d-%H%M%S")
    elsewhere = study.file.storage.trials is not None
    kept = [TrialFolders(study.trials_root).set_aside(now)] if elsewhere else []
    rest = [path for path in study.folder.glob("*") if path.name != "lease.json"]
    if rest:
        aside = study.folder.with_name(f"{study.folder.name}.{now}")
        while aside.exists():
            aside = aside.with_name(f"{aside.name}-")
        aside.mkdir()
        for path in rest:
            path.rename(aside / path.name)
        kept.append(shown(aside))
    if set_aside(study, f"{study.name}.{now}"):
        kept.append(f"the study {study.name}.{now} in its database")
    if any(kept):
        print(f"kept the old study as {', '.join(name for name in kept if name)}")


def _resume(study: Path) -> str:
    return f"stopped before the study was complete; resume with: python -m sret_search.run {typed(study)}"


if __name__ == "__main__":
    sys.exit(main())
