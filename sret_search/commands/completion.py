"""`sret-search completion`: completion of the command line in a shell, by argcomplete, an extra.

The shell runs the command with the line in its environment. The words before the completed word are
known then, so only the parser of that command is built.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from importlib import import_module

from sret_search.architecture.variants import VARIANTS
from sret_search.commands.arguments import command_line
from sret_search.export.extras import require_extra

_DESCRIPTION = """\
Print the code that a shell must read to complete commands, options, variants and files. Put the
line of your shell into its start file, such as ~/.bashrc.
"""
_EXAMPLES = """\
completion           # eval "$(sret-search completion)", in bash and zsh
completion fish      # sret-search completion fish | source"""
_SHELLS = ("bash", "zsh", "fish", "tcsh")
_SKIPPED = "_ARGCOMPLETE"
"""Environment variable of the shell: the number of words that argcomplete skips at the beginning,
plus one."""


def parser(prog: str) -> argparse.ArgumentParser:
    """The parser of `completion`."""
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
    """Print the completion code of a shell.

    Raises:
        ExtraError: argcomplete is not installed.
    """
    arguments = parser(prog).parse_args(argv)
    require_extra("completion")
    import argcomplete

    print(argcomplete.shellcode([prog.partition(" ")[0]], True, arguments.shell))


def complete(names: argparse.ArgumentParser, modules: Mapping[str, str]) -> None:
    """Answer the shell and exit; without argcomplete, exit without an answer.

    Args:
        names: the command line up to the name of a command.
        modules: the module of each command, which has a `parser`.
    """
    try:
        import argcomplete
    except ModuleNotFoundError:
        raise SystemExit(1) from None

    command_parser = _parser(names, modules)
    for action in command_parser._actions:
        if action.dest == "architecture":
            action.completer = _architectures  # type: ignore[attr-defined]
        elif action.dest in ("study", "studies"):
            action.completer = argcomplete.FilesCompleter(("yaml", "yml"))  # type: ignore[attr-defined]
    argcomplete.autocomplete(command_parser)


def _parser(names: argparse.ArgumentParser, modules: Mapping[str, str]) -> argparse.ArgumentParser:
    """The parser of the command on the line, or of command names if there is none yet."""
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
