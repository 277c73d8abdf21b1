"""What a study holds against each other."""

from __future__ import annotations

from dataclasses import dataclass

from sret_search.reporting.arms import Arm, arms
from sret_search.reporting.confirmed import Confirmed, confirmed
from sret_search.reporting.contrasts import Contrasted, contrasts
from sret_search.reporting.depth import Depth, depths
from sret_search.reporting.elastic import Elastic, elastics
from sret_search.reporting.importances import Importances, axis_importances
from sret_search.reporting.learning_rates import Tuned, tuned
from sret_search.reporting.results import Results
from sret_search.reporting.scaling import Scaling, scaling
from sret_search.reporting.twins import Pair, pairs


@dataclass(frozen=True)
class Compared:
    """Every comparison that the results allow; empty lists for the others."""

    depths: list[Depth]
    arms: list[Arm]
    elastics: list[Elastic]
    pairs: list[Pair]
    tuned: list[Tuned]
    confirmed: list[Confirmed]
    contrasts: list[Contrasted]
    scaling: Scaling
    importances: Importances | None


def compare(results: Results) -> Compared:
    """Make every comparison."""
    return Compared(
        depths=depths(results),
        arms=arms(results),
        elastics=elastics(results),
        pairs=pairs(results),
        tuned=tuned(results),
        confirmed=confirmed(results),
        contrasts=contrasts(results),
        scaling=scaling(results),
        importances=axis_importances(results),
    )
