"""The law L = E + A·(M / M₀)^−α with M = Σ_r r^φ·N_r, to which losses are fitted, for many
parameter vectors at once.

N_r is the number of a candidate's parameters that run r times in a forward pass. With N_1 as N_once
this is E + A·(N_once + r^φ·N_rec)^−α (2604.21106). If stages loop differently, it is their sum. M₀
only centres M. If M is a number of executions, φ is 0 and the law saturates.

Letters in names of arrays: K parameter vectors, n candidates, r numbers of runs, s seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

E, A, PHI, ALPHA = range(4)
"""Places in a vector of parameters."""
LOWEST = np.array([0.0, 0.0, -3.0, 0.02])
HIGHEST = np.array([np.inf, np.inf, 3.0, 6.0])
"""Upper bounds of the parameters in a fit. An interval that reaches an end of a bound is open
there."""


def is_on_edge(place: int, value: float) -> bool:
    """Whether a parameter lies on an end of its bounds. The data then did not choose it."""
    ends = np.array([LOWEST[place], HIGHEST[place]])
    return bool(np.any(np.isclose(value, ends, rtol=1e-3, atol=1e-9)))


@dataclass(frozen=True)
class Points:
    """The points to which a law is fitted, one for each candidate, with every seed that all of them
    have.

    Attributes:
        y_sn: losses, or errors, of each seed.
        runs_r: how often weights run.
        sizes_rn: numbers of parameters of each candidate that run as often as `runs_r` says.
        relative: whether residuals are differences of logarithms, since the spread of losses over
            seeds grows with them. Otherwise they are plain differences.
        family_n: the family of each candidate, counted from 0. Candidates of a family differ in
            depth only, and follow each other. Each family has its E. None: all candidates have the
            same E.
    """

    y_sn: np.ndarray
    runs_r: np.ndarray
    sizes_rn: np.ndarray
    relative: bool
    family_n: np.ndarray | None = None

    @cached_property
    def y_n(self) -> np.ndarray:
        """Means over seeds."""
        means: np.ndarray = self.y_sn.mean(0)
        return means

    @property
    def seeds(self) -> int:
        return len(self.y_sn)

    @cached_property
    def deviation_sn(self) -> np.ndarray:
        """The deviation of each seed from the mean over seeds, in the units of residuals. With
        families, the mean of each family is subtracted."""
        deviation = np.log(self.y_sn / self.y_n) if self.relative else self.y_sn - self.y_n
        deviation = deviation - deviation.mean(0)
        return deviation if self.family_n is None else self.minus_family_mean(deviation)

    @property
    def shifts_sn(self) -> np.ndarray:
        """The shifts of the residuals when each seed in turn is left out, scaled such that the
        squares of the resulting changes add up to a variance: the jackknife (Tukey, 1958)."""
        shifts: np.ndarray = -self.deviation_sn / np.sqrt(self.seeds * max(self.seeds - 1, 1))
        return shifts

    @property
    def centre(self) -> float:
        """M₀: the geometric mean of the candidates' numbers of parameters."""
        return float(np.exp(np.mean(np.log(self.sizes_rn.sum(0)))))

    @property
    def families(self) -> int:
        return 1 if self.family_n is None else int(self.family_n[-1]) + 1

    @property
    def blocks(self) -> int:
        """The number of independent units: candidates, or families of them."""
        return len(self.y_n) if self.family_n is None else self.families

    def only(self, keep_n: np.ndarray) -> Points:
        """The points of the candidates in `keep_n` (a mask)."""
        return replace(self, y_sn=self.y_sn[:, keep_n], sizes_rn=self.sizes_rn[:, keep_n])

    def log_size(self, phi_K: np.ndarray, centre: float) -> tuple[np.ndarray, np.ndarray]:
        """log(M / M₀), and its derivative with respect to φ. Both are (K, n)."""
        log_r = np.log(self.runs_r)
        power_Kr = np.exp(phi_K[:, None] * log_r)
        size_Kn = power_Kr @ self.sizes_rn
        slope_Kn = (power_Kr * log_r) @ self.sizes_rn / size_Kn
        return np.log(size_Kn / centre), slope_Kn

    def predicted(self, theta_K4: np.ndarray, centre: float) -> np.ndarray:
        """The law at each candidate, (K, n)."""
        log_Kn, _ = self.log_size(theta_K4[:, PHI], centre)
        e, a, _, alpha = theta_K4.T[..., None]
        law_Kn: np.ndarray = e + a * np.exp(-alpha * log_Kn)
        return law_Kn

    def residuals(self, theta_K4: np.ndarray, centre: float) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (K, n), and the derivatives of the law in their units (K, 4, n)."""
        log_Kn, slope_Kn = self.log_size(theta_K4[:, PHI], centre)
        e, a, _, alpha = theta_K4.T[..., None]
        power_Kn = np.exp(-alpha * log_Kn)
        law_Kn = e + a * power_Kn
        term_Kn = a * power_Kn
        J_K4n = np.stack(
            [np.ones_like(law_Kn), power_Kn, -alpha * term_Kn * slope_Kn, -term_Kn * log_Kn], axis=1
        )
        if self.relative:
            r_Kn = np.log(self.y_n) - np.log(np.maximum(law_Kn, 1e-12))
            J_K4n /= np.maximum(law_Kn, 1e-12)[:, None]
        else:
            r_Kn = self.y_n - law_Kn
        if self.family_n is not None:
            r_Kn, J_K4n = self.minus_family_mean(r_Kn), self.minus_family_mean(J_K4n)
        return r_Kn, J_K4n

    def minus_family_mean(self, values: np.ndarray) -> np.ndarray:
        """Values minus the mean of their family, along the last axis."""
        assert self.family_n is not None
        starts = np.flatnonzero(np.diff(self.family_n, prepend=-1))
        counts = np.diff(starts, append=len(self.family_n))
        means = np.add.reduceat(values, starts, axis=-1) / counts
        centred: np.ndarray = values - np.repeat(means, counts, axis=-1)
        return centred
