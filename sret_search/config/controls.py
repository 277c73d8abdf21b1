"""Table of the controls by name, with their words for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sret_search.errors import nearest, require


@dataclass(frozen=True)
class ControlEntry:
    """A control.

    Attributes:
        words: description, after the word "same" in a sentence.
        label: description in a legend.
        trains: whether it is a twin, which needs trainings.
    """

    words: str = ""
    label: str = ""
    trains: bool = True


CONTROLS: Mapping[str, ControlEntry] = {
    "unshared": ControlEntry(
        "with a separate block for each execution", "a separate block for each execution"
    ),
    "shallow": ControlEntry("with each block run once", "each block run once"),
    "iso_params": ControlEntry(
        "with each block run once, and a width that gives equal parameters",
        "shallow, width for equal parameters",
    ),
    "iso_macs": ControlEntry(
        "with each block run once, and a width that gives equal multiply-adds",
        "shallow, width for equal multiply-adds",
    ),
    "iso_train_macs": ControlEntry(
        "with each block run once, trained for equal multiply-adds",
        "shallow, trained for equal multiply-adds",
    ),
    "rerun": ControlEntry(trains=False),
}


def check_control(name: str) -> str:
    """Check that a control has this name, and return the name.

    Raises:
        ValueError: no control has this name.
    """
    require(name in CONTROLS, f"unknown control {name!r}; {nearest(name, CONTROLS)}")
    return name
