"""`sret-search report STUDY...`: redraw reports from what is stored."""

from __future__ import annotations

import argparse
from pathlib import Path

from sret_search.study import load_study, preflight
from sret_search.study.errors import shown


def main(argv: list[str], prog: str) -> None:
    """Redraw reports; trains nothing and imports neither torch nor Ray.

    Raises:
        StudyError: a study is wrong, or was never run.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Redraw the reports of studies from runs/<study>/ into reports/<study>/.",
    )
    parser.add_argument(
        "studies", metavar="STUDY", nargs="+", type=Path, help="a study file (YAML)"
    )
    studies = [load_study(path) for path in parser.parse_args(argv).studies]
    for study in studies:
        preflight.check_folders(study)
    from sret_search.reporting.write import write_report

    for study in studies:
        print(f"report: {shown(write_report(study))}")
