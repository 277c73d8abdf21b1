"""What the command lines of several commands share."""

from __future__ import annotations

import argparse


def command_line(prog: str, description: str, examples: str) -> argparse.ArgumentParser:
    """A command line with its description as it is written, and examples below the options.

    Args:
        prog: the command as the user typed it.
        examples: a line each: what follows `sret-search`, and perhaps a remark after a #.
    """
    lines = "\n".join(f"  sret-search {line}" for line in examples.splitlines())
    return argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n{lines}",
    )


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of at least 1 is needed, but got {text}")
    return int(text)
