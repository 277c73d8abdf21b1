"""`sret-search`: the sub-commands."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sret_search import __version__, run
from sret_search.study import StudyError, load_study, preflight
from sret_search.study.errors import shown

_DESCRIPTION = """\
Search the family of recursive vision transformers (SReT) and measure what depth buys.

commands:
  run STUDY        train a study's candidates, or resume it, and draw its report
  report STUDY...  redraw reports from what is stored, also while a study runs
"""


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="sret-search",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="each command takes --help",
    )
    parser.add_argument("--version", action="version", version=f"sret_search {__version__}")
    parser.add_argument("command", choices=("run", "report"), metavar="COMMAND")
    arguments = parser.parse_args(argv[:1])
    commands = {"run": lambda rest: run.main(rest, "sret-search run"), "report": report}
    return commands[arguments.command](argv[1:])


def report(argv: list[str]) -> int:
    """Redraw reports; trains nothing and imports neither torch nor Ray."""
    parser = argparse.ArgumentParser(
        prog="sret-search report",
        description="Redraw the reports of studies from runs/<study>/ into reports/<study>/.",
    )
    parser.add_argument(
        "studies", metavar="STUDY", nargs="+", type=Path, help="a study file (YAML)"
    )
    try:
        studies = [load_study(path) for path in parser.parse_args(argv).studies]
        for study in studies:
            preflight.check_folders(study)
        from sret_search.reporting import write_report

        for study in studies:
            print(f"report: {shown(write_report(study.folder, study.report_folder))}")
    except StudyError as error:
        print(error, file=sys.stderr)
        return run.INPUT
    return run.DONE


if __name__ == "__main__":
    sys.exit(main())
