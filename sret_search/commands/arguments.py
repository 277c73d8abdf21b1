"""Helpers that the command lines of several commands share."""

from __future__ import annotations

import argparse


def command_line(prog: str, description: str, examples: str) -> argparse.ArgumentParser:
    """A command line with its description unchanged, and examples below the options.

    Args:
        prog: the command as the user typed it.
        description: text above the options.
        examples: a line for each: the words after `sret-search`, and perhaps a remark after a #.
    """
    lines = "\n".join(f"  sret-search {line}" for line in examples.splitlines())
    return argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n{lines}",
    )


def positive(text: str) -> int:
    """Parse a whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: the text is not such a number.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is needed, but got {text}")
    return int(text)
