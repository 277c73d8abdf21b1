"""The results of a study on depth and size: laws, and slices of equal cost, with their
certainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sret_search.reporting.analyses.scaling.iso_cost import Slice, slices
from sret_search.reporting.analyses.scaling.recurrence import Recurrence, Without, recurrence
from sret_search.reporting.analyses.scaling.saturation import Saturation, saturation
from sret_search.reporting.results import Results


@dataclass(frozen=True)
class Scaling:
    """Every law and slice that the results allow. The others are None or empty.

    Attributes:
        without: why there is no law of recurrence, if there are enough candidates for a law.
    """

    recurrence: Recurrence | None
    without: Without | None
    saturations: tuple[Saturation, ...]
    params: tuple[Slice, ...]
    macs: tuple[Slice, ...]

    @property
    def facts(self) -> dict[str, Any]:
        """The entries for `summary.json`."""
        return {
            "recurrence": None if self.recurrence is None else self.recurrence.facts,
            "without_recurrence": self.without,
            "saturations": [law.facts for law in self.saturations],
            "iso_params": [iso_slice.facts for iso_slice in self.params],
            "iso_macs": [iso_slice.facts for iso_slice in self.macs],
        }


def scaling(results: Results) -> Scaling:
    """Fit the laws and cut the slices. Takes about two seconds for a thousand candidates and
    more."""
    law = recurrence(results)
    measures = (saturation(results, "accuracy"), saturation(results, "loss"))
    return Scaling(
        recurrence=law if isinstance(law, Recurrence) else None,
        without=None if isinstance(law, Recurrence) else law,
        saturations=tuple(saturating for saturating in measures if saturating is not None),
        params=tuple(slices(results, "params")),
        macs=tuple(slices(results, "macs")),
    )
