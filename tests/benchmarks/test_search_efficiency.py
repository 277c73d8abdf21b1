"""What is printed of replays, from replays that are made up."""

import numpy as np
import pandas as pd
import pytest
from search_efficiency import figures

REPLAYS = 8


def replays(trials: int) -> pd.DataFrame:
    """As if a hypervolume grew by 1 with each trial of `tpe`, by 0.9 and 1.2 with `random` and
    `nsga2`, and by 2 with `frontier`, whose trainings take a third of the time under a scheduler."""
    rows = []
    slopes = {"random": 0.9, "tpe": 1.0, "nsga2": 1.2, "frontier": 2.0}
    for index in range(REPLAYS):
        for method, slope in slopes.items():
            for scheduler in ("none", "mo_asha") if method == "frontier" else ("none",):
                ended = trials if scheduler == "none" else min(trials, 100)
                cost, loss = (1.0, 0.0) if scheduler == "none" else (1 / 3, 0.0009 * index)
                count = np.arange(1, ended + 1)
                rows.append(
                    pd.DataFrame({"trials": count, "seconds": cost * count})
                    .assign(selected=slope * count + index, method=method, replay=index)
                    .assign(trained=1.1 * slope * count + index)
                    .assign(scheduler=scheduler)
                    .assign(**{f"stratum_{i}": 0.9 - loss for i in range(5)})
                )
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize("trials", [80, 200])
def test_figures_end_where_the_replays_end(trials: int) -> None:
    found = figures(replays(trials))
    last = min(trials, 100)
    assert found["replays"] == REPLAYS
    assert found[f"trials_to_random_{trials}"] == {
        "quarter": 0.45 * trials, "median": 0.45 * trials, "three_quarters": 0.45 * trials,
        "reached": 1.0,
    }  # fmt: skip
    assert found["over_best_at_50"]["baseline"] == "nsga2"
    assert found["over_best_at_50"]["mean"] == pytest.approx(0.8 * 50)
    ratio = found[f"ratio_to_best_at_{last}"]
    assert (ratio["baseline"], ratio["median"]) == ("nsga2", pytest.approx(0.6))
    assert max(found["hypervolume"]["tpe"]) <= trials
    assert found["scheduled"]["time_ratio"] == pytest.approx(1 / 3)
    # Losses of 0 to 0.0063, of which 0.003 is allowed.
    assert found["scheduled"]["share_within"] == 4 / REPLAYS
    assert found["scheduled"]["loss_most"] == pytest.approx(0.0063)
    assert found["scheduled"]["by_stratum"][0]["mean"] == pytest.approx(0.0009 * 3.5)
    # In a third of the time without a scheduler as good, and others draws make no difference.
    assert found["scheduled"]["same_time"]["share_within"] == 1
    assert found["scheduled"]["over_same_time"]["mean"] == pytest.approx(2 * (last - last // 3))
    assert found["scheduled"]["alike"]["loss_most"] == 0
    assert found["trained"]["over_best_at_50"]["mean"] == pytest.approx(1.1 * 0.8 * 50)
