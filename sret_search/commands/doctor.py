"""`sret-search doctor`: check whether this machine and this folder can run studies."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from sret_search.commands import findings
from sret_search.commands.arguments import command_line
from sret_search.commands.findings import Finding
from sret_search.errors import DONE, INPUT

_DESCRIPTION = """\
Check the needs of a study: the packages and their versions, CPUs and GPUs, whether a study's
database can lie in this folder, room on the disk, shared memory, the cache of images, and whether
Ray starts. Each result is a line:

  ok     nothing to do
  note   studies run without it
  fix    studies would not run; the next line says what to do

exit codes: 0 nothing to fix, 2 something to fix
"""
_EXAMPLES = """\
doctor
doctor --no-ray   # leaves out the start of Ray, which takes some seconds"""

_MARKS = {"well": "ok  ", "note": "note", "fix": "fix "}
_CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "packages": findings.packages,
    "CPU": findings.processors,
    "GPU": findings.graphics,
    "storage": findings.storage,
    "temporary": findings.temporary,
    "memory": findings.shared_memory,
    "cache": findings.cache,
    "Ray": findings.ray,
}


def parser(prog: str) -> argparse.ArgumentParser:
    """The parser of `doctor`."""
    result = command_line(prog, _DESCRIPTION, _EXAMPLES)
    result.add_argument("--no-ray", action="store_true", help="do not try to start Ray")
    return result


def main(argv: list[str], prog: str) -> int:
    """Print each result at once, and return the exit code."""
    arguments = parser(prog).parse_args(argv)
    to_fix = 0
    for about, check in _CHECKS.items():
        if about == "Ray" and arguments.no_ray:
            continue
        for finding in _checked(about, check):
            to_fix += finding.state == "fix"
            print(f"{_MARKS[finding.state]}  {finding.about:9}  {finding.text}", flush=True)
            if finding.to_do:
                print(f"{'':17}→ {finding.to_do}", flush=True)
    print(f"{to_fix or 'nothing'} to fix")
    return INPUT if to_fix else DONE


def _checked(about: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Results of a check. A package that does not load is a result too."""
    try:
        yield from check()
    except (ImportError, OSError) as error:
        yield Finding(about, "fix", f"cannot be checked: {error}", "fix the packages first")
