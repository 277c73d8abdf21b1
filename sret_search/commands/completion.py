"""`sret-search completion`: the command line is completed in a shell, by argcomplete, an extra.

The shell runs the command with the line in its environment. What stands before the word that is
completed is known by then, so that only the parser of that one command is built.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from importlib import import_module

from sret_search.architecture.variants import VARIANTS
from sret_search.commands.arguments import command_line
from sret_search.export.extras import need

_DESCRIPTION = """\
Print what a shell must read to complete commands, options, variants and files. Put the line of your
shell into the file that it reads when it starts, such as ~/.bashrc.
"""
_EXAMPLES = """\
completion           # eval "$(sret-search completion)", in bash and zsh
completion fish      # sret-search completion fish | source"""
_SHELLS = ("bash", "zsh", "fish", "tcsh")
_SKIPPED = "_ARGCOMPLETE"
"""How many words argcomplete leaves aside from the beginning, plus one: set by the shell."""


def parser(prog: str) -> argparse.ArgumentParser:
    """The command line of `completion`."""
    result = command_line(prog, _DESCRIPTION, _EXAMPLES)
    result.add_argument(
        "shell",
        metavar="SHELL",
        nargs="?",
        default="bash",
        choices=_SHELLS,
        help=", ".join(_SHELLS),
    )
    return result


def main(argv: list[str], prog: str) -> None:
    """Print it.

    Raises:
        ExtraError: argcomplete is not installed.
    """
    arguments = parser(prog).parse_args(argv)
    need("completion")
    import argcomplete

    print(argcomplete.shellcode([prog.partition(" ")[0]], True, arguments.shell))


def complete(names: argparse.ArgumentParser, modules: Mapping[str, str]) -> None:
    """Answer the shell and exit; without argcomplete, without an answer.

    Args:
        names: the command line up to the name of a command.
        modules: of each command, which have a `parser`.
    """
    try:
        import argcomplete
    except ModuleNotFoundError:
        raise SystemExit(1) from None

    asked = _parser(names, modules)
    for action in asked._actions:
        if action.dest == "architecture":
            action.completer = _architectures  # type: ignore[attr-defined]
        elif action.dest in ("study", "studies"):
            action.completer = argcomplete.FilesCompleter(("yaml", "yml"))  # type: ignore[attr-defined]
    argcomplete.autocomplete(asked)


def _parser(names: argparse.ArgumentParser, modules: Mapping[str, str]) -> argparse.ArgumentParser:
    """The parser of the command that is named already, or else of the names."""
    line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    skipped = int(os.environ[_SKIPPED])
    named = line.split()[skipped:]
    whole = named and (len(named) > 1 or line[-1].isspace())
    if not whole or named[0] not in modules:
        return names
    os.environ[_SKIPPED] = str(skipped + 1)
    made: argparse.ArgumentParser = import_module(modules[named[0]]).parser(named[0])
    return made


def _architectures(prefix: str, **_: object) -> list[str]:
    import argcomplete

    return [*VARIANTS, *argcomplete.FilesCompleter(("yaml", "yml"))(prefix)]
