"""`sret-search doctor`: whether this machine and this folder are fit for studies."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from sret_search.commands import findings
from sret_search.commands.arguments import command_line
from sret_search.commands.findings import Finding
from sret_search.errors import DONE, INPUT

_DESCRIPTION = """\
Look at what a study needs: the packages and their versions, CPUs and GPUs, whether a study's
database can lie in this folder, room on the disk, shared memory, the cache of images, and whether
Ray starts. A line each:

  ok     as it should be
  note   studies run without it
  mend   studies would not run, and what to do

exit codes: 0 nothing to mend, 2 something to mend
"""
_EXAMPLES = """\
doctor
doctor --no-ray   # leaves out the start of Ray, which takes some seconds"""

_MARKS = {"well": "ok  ", "note": "note", "mend": "mend"}
_LOOKS: dict[str, Callable[[], Iterator[Finding]]] = {
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
    """The command line of `doctor`."""
    result = command_line(prog, _DESCRIPTION, _EXAMPLES)
    result.add_argument("--no-ray", action="store_true", help="do not try to start Ray")
    return result


def main(argv: list[str], prog: str) -> int:
    """Print what was found as it is found; the exit code."""
    arguments = parser(prog).parse_args(argv)
    to_mend = 0
    for about, look in _LOOKS.items():
        if about == "Ray" and arguments.no_ray:
            continue
        for finding in _looked(about, look):
            to_mend += finding.state == "mend"
            print(f"{_MARKS[finding.state]}  {finding.about:9}  {finding.what}", flush=True)
            if finding.to_do:
                print(f"{'':17}→ {finding.to_do}", flush=True)
    print(f"{to_mend or 'nothing'} to mend")
    return INPUT if to_mend else DONE


def _looked(about: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a look finds, also where a package that it needs does not load."""
    try:
        yield from look()
    except (ImportError, OSError) as error:
        yield Finding(about, "mend", f"cannot be looked at: {error}", "mend the packages first")
