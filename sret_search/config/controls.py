"""The controls by name: what stands beside a candidate, in words for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sret_search.errors import nearest
from sret_search.job.require import require


@dataclass(frozen=True)
class ControlEntry:
    """A control.

    Attributes:
        words: what it is, after the word "same" in a sentence.
        label: the same in a legend.
        trains: whether it is a twin, with trainings of its own.
    """

    words: str = ""
    label: str = ""
    trains: bool = True


CONTROLS: Mapping[str, ControlEntry] = {
    "unshared": ControlEntry(
        "with a block of its own for each execution", "a block of its own for each execution"
    ),
    "shallow": ControlEntry("with each block run once", "each block run once"),
    "iso_params": ControlEntry(
        "with each block run once, as wide as gives its parameters",
        "shallow, as wide as gives the parameters",
    ),
    "iso_macs": ControlEntry(
        "with each block run once, as wide as gives its multiply-adds",
        "shallow, as wide as gives the multiply-adds",
    ),
    "iso_train_macs": ControlEntry(
        "with each block run once, trained for as many multiply-adds",
        "shallow, trained as many multiply-adds",
    ),
    "rerun": ControlEntry(trains=False),
}


def check_control(name: str) -> str:
    """The same name, if there is such a control.

    Raises:
        ValueError: there is none.
    """
    require(name in CONTROLS, f"unknown control {name!r}; {nearest(name, CONTROLS)}")
    return name
