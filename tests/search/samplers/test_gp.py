"""The Gaussian process: its numbers beside those of the textbook, and what it learns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as few
from hypothesis import strategies as st
from scipy.optimize import check_grad

from sret_search.search.samplers.frontier import gp
from sret_search.search.samplers.frontier.gp import Features, Posterior, Results, Settings

FEATURES = Features(np.array([0, 1, 1, 2]), np.array([False, False, False, True]))


def made_up(seed: int, size: int) -> tuple[Results, np.ndarray]:
    """Noisy results of a smooth function, and other points."""
    rng = np.random.default_rng(seed)
    x, noise = rng.random((size, 4)), rng.normal(0, 0.05, size)
    share, extra = rng.choice([1.0, 0.5], size), rng.choice([0.0, 0.04], size)
    return Results(x, np.sin(3 * x[:, 0]) + x[:, 3] + noise, share, extra), rng.random((30, 4))


def settings() -> Settings:
    return Settings(FEATURES, 1.2, 0.7, np.array([0.8, 1.5, 3.0]), 0.9, 0.2)


def kernel(made: Settings, a: np.ndarray, b: np.ndarray) -> float:
    """As the textbook writes it, for one pair of points."""
    distance = np.sqrt((((a - b) / made.lengths[FEATURES.groups]) ** 2).sum())
    root = np.sqrt(5) * distance
    plane = 1 + (2 * 0.5) ** 2 * (a[3] - 0.5) * (b[3] - 0.5)
    return float(plane + made.remainder**2 * (1 + root + root**2 / 3) * np.exp(-root))


def test_the_posterior_is_that_of_dense_equations() -> None:
    made, (results, x) = settings(), made_up(0, 25)
    among = np.array([[kernel(made, a, b) for b in results.x] for a in results.x])
    across = np.array([[kernel(made, a, b) for b in results.x] for a in x])
    noise = made.noise**2 * results.share + results.extra / made.scale**2
    inverse = np.linalg.inv(among + np.diag(noise))
    mean = made.centre + made.scale * across @ inverse @ ((results.y - made.centre) / made.scale)
    own = np.array([kernel(made, a, a) for a in x])
    variance = made.scale**2 * (own - np.einsum("ij,jk,ik->i", across, inverse, across))
    posterior = Posterior(made, results)
    assert posterior.mean(x) == pytest.approx(mean, abs=1e-4)
    assert posterior.both(x)[1] == pytest.approx(variance, abs=1e-4)


def test_some_points_stand_for_many_results() -> None:
    made, (results, x) = settings(), made_up(0, 600)
    exact, projected = Posterior(made, results), Posterior(made, results, np.arange(0, 600, 2))
    assert projected.mean(x) == pytest.approx(exact.mean(x), abs=0.02)
    assert np.sqrt(projected.both(x)[1]) == pytest.approx(np.sqrt(exact.both(x)[1]), abs=0.02)


def test_the_gradient_is_that_of_the_density() -> None:
    results, _ = made_up(1, 12)
    likelihood = gp._Likelihood(FEATURES, results, results.y - results.y.mean())
    for seed in range(3):
        point = likelihood.centre + np.random.default_rng(seed).normal(0, 0.5, 5)
        off = check_grad(lambda p: likelihood(p)[0], lambda p: likelihood(p)[1], point)
        assert off < 1e-4 * max(1.0, float(np.abs(likelihood(point)[1]).max()))


def test_settings_are_found_again() -> None:
    results, x = made_up(2, 120)
    found = gp.fit(FEATURES, Results(results.x, results.y, results.share, 0 * results.extra))
    assert found.noise * found.scale == pytest.approx(0.05, rel=0.4)
    assert found.lengths[0] < 0.5 * min(found.lengths[1], found.lengths[2])
    error = Posterior(found, results).mean(x) - np.sin(3 * x[:, 0]) - x[:, 3]
    assert np.abs(error).max() < 0.1


@few(max_examples=10, deadline=None, derandomize=True)
@given(st.floats(-5, 5), st.floats(0.1, 10))
def test_units_of_the_results_change_nothing(shift: float, unit: float) -> None:
    results, x = made_up(3, 8)
    here = Results(results.x, results.y, results.share, 0 * results.extra)
    there = Results(results.x, shift + unit * results.y, results.share, 0 * results.extra)
    one, other = (Posterior(gp.fit(FEATURES, r), r).mean(x) for r in (here, there))
    assert other == pytest.approx(shift + unit * one, abs=1e-2 * unit)


def test_noise_is_forgiven_where_it_is_known() -> None:
    results, _ = made_up(4, 20)
    sure = Results(results.x, results.y, results.share, 0 * results.extra)
    unsure = Results(results.x, results.y, results.share, 0 * results.extra + 100.0)
    off = [np.abs(Posterior(settings(), r).mean(r.x) - r.y).mean() for r in (sure, unsure)]
    assert off[0] < 0.2 * off[1]
