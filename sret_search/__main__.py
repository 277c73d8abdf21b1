"""`sret-search`: the sub-commands."""

from __future__ import annotations

import argparse
import sys

from sret_search import __version__, run
from sret_search.commands import cost, evaluate, plan, report, schema
from sret_search.study import StudyError

_PROG = "sret-search"
_DESCRIPTION = """\
Search the family of recursive vision transformers (SReT) and measure what depth buys.

commands:
  plan STUDY         what a study will train, its hours and disk; trains nothing
  run STUDY          train a study's candidates, or resume it, and draw its report
  report STUDY...    redraw a report, also while a study runs; several studies as one
  cost ARCHITECTURE  parameters, multiply-adds, depth and memory of an architecture
  evaluate MODEL     accuracy of a trained or published model on a data set
  schema             JSON schemas of study and space files, for editors
"""
_COMMANDS = {
    "plan": plan.main,
    "report": report.main,
    "cost": cost.main,
    "evaluate": evaluate.main,
    "schema": schema.main,
}


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog=_PROG,
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="each command takes --help",
    )
    parser.add_argument("--version", action="version", version=f"sret_search {__version__}")
    parser.add_argument("command", choices=("run", *_COMMANDS), metavar="COMMAND")
    command = parser.parse_args(argv[:1]).command
    if command == "run":
        return run.main(argv[1:], f"{_PROG} run")
    try:
        _COMMANDS[command](argv[1:], f"{_PROG} {command}")
    except StudyError as error:
        print(error, file=sys.stderr)
        return run.INPUT
    return run.DONE


if __name__ == "__main__":
    sys.exit(main())
