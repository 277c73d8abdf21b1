"""`sret-search report STUDY...`: redraw a report from stored results, or draw several studies
together."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from sret_search.commands.arguments import command_line
from sret_search.config.problems import shown
from sret_search.job.paths import named_path
from sret_search.planning import preflight
from sret_search.study import load_study

_DESCRIPTION = """\
Redraw the report of a study from runs/<study>/ into reports/<study>/; or draw several studies over
each other into reports/<study>+<study>/. A study that was never run here is drawn from its packed
ledger, if it has one: reports/<study>/ledger.json.xz, or else reports/shipped/<study>/ledger.json.xz."""
_EXAMPLES = """\
report studies/smoke.yaml
report studies/depth_scaling.yaml studies/depth_scaling_full.yaml --out both"""


def parser(prog: str) -> argparse.ArgumentParser:
    """The parser of `report`."""
    result = command_line(prog, _DESCRIPTION, _EXAMPLES)
    result.add_argument(
        "studies", metavar="STUDY", nargs="+", type=named_path, help="a study file (YAML)"
    )
    result.add_argument(
        "--out", metavar="DIR", type=named_path, help="a folder for the page of several studies"
    )
    result.add_argument(
        "--pack",
        action="store_true",
        help="write reports/<study>/ledger.json.xz too, from which this command draws the report"
        " where the study was never run",
    )
    return result


def main(argv: list[str], prog: str) -> None:
    """Redraw a report, or draw several studies over each other. It trains nothing, and imports
    neither torch nor Ray.

    Raises:
        StudyError: a study has errors, was never run, or cannot be compared with the others.
    """
    command = parser(prog)
    given = command.parse_args(argv)
    if given.out is not None and len(given.studies) == 1:
        command.error(
            "--out is for several studies; the report of a single study is in reports/<study>/"
        )
    if given.pack and len(given.studies) > 1:
        command.error("--pack is for a single study")
    studies = [load_study(path) for path in given.studies]
    for study in studies:
        preflight.check_folders(study)
    with _without_collection():
        from sret_search.reporting.write import write_overlay, write_report

        is_single = len(studies) == 1
        page = (
            write_report(studies[0], pack=given.pack)
            if is_single
            else write_overlay(studies, given.out)
        )
    print(f"report: {shown(page)}")


@contextmanager
def _without_collection() -> Iterator[None]:
    """Switch off garbage collection.

    Reports make many objects, and few are in cycles. Looking for those, now and again at the end of
    the process, takes a sixth of the time, for some megabytes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
