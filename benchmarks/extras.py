"""Whether each extra of users installs and works alone, and how its line is named without it.

    python benchmarks/extras.py        # some 20 minutes, and a gigabyte in the temporary folder

A wheel of these sources is installed into an empty environment, in which the smoke study is run. Each
extra is then installed into a copy of it, which is tried out as tests/installed/ does and removed.

Writes benchmarks/results/extras_<hardware>_<date>.json and prints a table last; seconds are of wall
time. Ends with code 1 where an extra does not work.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from trial_overhead import hardware

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "installed")]

from checks import CHECKS, FOR_DEVELOPERS, without  # noqa: E402
from environments import Environment, build  # noqa: E402

USERS = [name for name in CHECKS if name not in FOR_DEVELOPERS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="only these; writes no file")
    extras = parser.parse_args().extras or USERS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (wheel,) = build(folder).glob("*.whl")
        bare = Environment(folder / "bare", str(wheel))
        bare.smoke()
        figures = {extra: tried(extra, bare, wheel, folder / extra) for extra in extras}
    if extras == USERS:
        name = f"extras_{hardware()}_{datetime.date.today():%Y%m%d}.json"
        known = {"extras": figures, "python_version": platform.python_version()}
        text = json.dumps(known, indent=1, ensure_ascii=False)
        (ROOT / "benchmarks" / "results" / name).write_text(f"{text}\n")
    for extra, found in figures.items():
        print(f"{extra:12}{found['alone']:8}{found['without']['said']}")
    if any(found["alone"] != "works" for found in figures.values()):
        sys.exit(1)


def tried(extra: str, bare: Environment, wheel: Path, folder: Path) -> dict[str, Any]:
    """What is found of an extra: the packages that come with it, whether it works with no others,
    and what is said where they are not there."""
    start = time.perf_counter()
    environment = bare.with_extra(extra, wheel, folder)
    installed = time.perf_counter()
    found: dict[str, Any] = {"alone": "works"}
    try:
        CHECKS[extra](environment)
    except AssertionError as error:
        found |= {"alone": "fails", "error": str(error)}
    checked = time.perf_counter()
    found |= {
        "install_seconds": round(installed - start, 1),
        "check_seconds": round(checked - installed, 1),
        "packages": sorted(environment.packages() - bare.packages(), key=str.lower),
        "without": without(extra, bare),
    }
    print(f"{extra}: {found['alone']}", file=sys.stderr, flush=True)
    shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    main()
