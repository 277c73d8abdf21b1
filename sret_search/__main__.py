"""`sret-search`: the sub-commands."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import NamedTuple

from sret_search import __version__, terminal
from sret_search.errors import DONE, INPUT, InputError, nearest

PROG = "sret-search"


class Command(NamedTuple):
    """A sub-command: the module that has its `parser` and `main`, imported only when it is asked for;
    what it takes; and what it does."""

    module: str
    takes: str
    does: str


COMMANDS = {
    "plan": Command(
        "sret_search.commands.plan",
        "STUDY",
        "show the trainings of a study, their hours and disk; trains nothing",
    ),
    "run": Command(
        "sret_search.run",
        "STUDY",
        "train a study's candidates, or resume it, and draw its report",
    ),
    "report": Command(
        "sret_search.commands.report",
        "STUDY...",
        "redraw a report, also while a study runs; several studies as one",
    ),
    "cost": Command(
        "sret_search.commands.cost",
        "ARCHITECTURE",
        "show parameters, multiply-adds, depth and memory of an architecture",
    ),
    "evaluate": Command(
        "sret_search.commands.evaluate",
        "MODEL",
        "measure the accuracy of a trained or published model on a data set",
    ),
    "export": Command(
        "sret_search.commands.export",
        "STUDY",
        "a trained model in a folder of its own, for use elsewhere",
    ),
    "schema": Command(
        "sret_search.commands.schema",
        "",
        "print the JSON schemas of study and space files, for editors",
    ),
    "doctor": Command(
        "sret_search.commands.doctor",
        "",
        "whether this machine and this folder are fit for studies",
    ),
    "completion": Command(
        "sret_search.commands.completion",
        "[SHELL]",
        "what a shell must read to complete all of these",
    ),
}
_EPILOG = """\
examples:
  sret-search plan studies/smoke.yaml
  sret-search run studies/smoke.yaml
  sret-search cost sret_t

each command takes --help; `eval "$(sret-search completion)"` completes them in bash and zsh
"""


def parser() -> argparse.ArgumentParser:
    """The command line up to the name of the command."""
    width = max(len(f"{name} {command.takes}") for name, command in COMMANDS.items()) + 2
    lines = "\n".join(
        f"  {f'{name} {command.takes}':{width}}{command.does}" for name, command in COMMANDS.items()
    )
    result = argparse.ArgumentParser(
        prog=PROG,
        description="Search the family of recursive vision transformers (SReT) and measure what"
        f" depth buys.\n\ncommands:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EPILOG,
    )
    result.add_argument("--version", action="version", version=f"sret_search {__version__}")
    result.add_argument("command", choices=tuple(COMMANDS), metavar="COMMAND")
    return result


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    terminal.prepare()
    if "_ARGCOMPLETE" in os.environ:
        from sret_search.commands.completion import complete

        complete(parser(), {name: command.module for name, command in COMMANDS.items()})
    argv = sys.argv[1:] if argv is None else argv
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        parser().error(f"there is no command {argv[0]!r}; {nearest(argv[0], COMMANDS)}")
    command = parser().parse_args(argv[:1]).command
    try:
        code: int | None = import_module(COMMANDS[command].module).main(
            argv[1:], f"{PROG} {command}"
        )
    except InputError as error:
        print(error, file=sys.stderr)
        return INPUT
    return DONE if code is None else code


if __name__ == "__main__":
    sys.exit(main())
