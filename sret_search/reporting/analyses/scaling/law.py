"""The law that losses are fitted to, L = E + A·(M / M₀)^−α with M = Σ_r r^φ·N_r, for many
parameters at once.

N_r are a candidate's parameters that run r times in a forward pass, so that with N_1 as N_once
this is E + A·(N_once + r^φ·N_rec)^−α (2604.21106), and with stages that loop differently their
sum. M₀ only centres M. Where M is a number of executions, φ is 0, and the law a saturating one.

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
"""No fit looks beyond; an interval that reaches one of these ends is open there."""


def is_on_edge(place: int, value: float) -> bool:
    """Whether a parameter lies on an end of its box, so that the data did not choose it."""
    ends = np.array([LOWEST[place], HIGHEST[place]])
    return bool(np.any(np.isclose(value, ends, rtol=1e-3, atol=1e-9)))


@dataclass(frozen=True)
class Points:
    """The points that a law is fitted to, one a candidate, with every seed that all of them have.

    Attributes:
        y_sn: losses, or errors, of each seed.
        runs_r: how often weights run.
        sizes_rn: the parameters of each candidate that run so often.
        relative: whether residuals are of logarithms, as the spread of losses over seeds grows
            with them; else they are plain differences.
        family_n: candidates that only depth tells apart have the same number, counted from 0,
            and follow each other; each family then has an E of its own. None: all have one E.
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
    def off_sn(self) -> np.ndarray:
        """How far each seed lies from the mean over seeds, in the units of residuals."""
        off = np.log(self.y_sn / self.y_n) if self.relative else self.y_sn - self.y_n
        off = off - off.mean(0)
        return off if self.family_n is None else self.within(off)

    @property
    def shifts_sn(self) -> np.ndarray:
        """What leaving out each seed in turn does to the residuals, so scaled that the squares of
        what follows from each add up to a variance: the jackknife (Tukey, 1958)."""
        shifts: np.ndarray = -self.off_sn / np.sqrt(self.seeds * max(self.seeds - 1, 1))
        return shifts

    @property
    def centre(self) -> float:
        """M₀: the geometric mean of the candidates' parameters."""
        return float(np.exp(np.mean(np.log(self.sizes_rn.sum(0)))))

    @property
    def families(self) -> int:
        return 1 if self.family_n is None else int(self.family_n[-1]) + 1

    @property
    def blocks(self) -> int:
        """What is independent: candidates, or families of them."""
        return len(self.y_n) if self.family_n is None else self.families

    def only(self, keep_n: np.ndarray) -> Points:
        """Some of the candidates."""
        return replace(self, y_sn=self.y_sn[:, keep_n], sizes_rn=self.sizes_rn[:, keep_n])

    def log_size(self, phi_K: np.ndarray, centre: float) -> tuple[np.ndarray, np.ndarray]:
        """log(M / M₀), and its derivative by φ; both (K, n)."""
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
            r_Kn, J_K4n = self.within(r_Kn), self.within(J_K4n)
        return r_Kn, J_K4n

    def within(self, values: np.ndarray) -> np.ndarray:
        """Values less the mean of their family, along the last axis."""
        assert self.family_n is not None
        starts = np.flatnonzero(np.diff(self.family_n, prepend=-1))
        counts = np.diff(starts, append=len(self.family_n))
        means = np.add.reduceat(values, starts, axis=-1) / counts
        centred: np.ndarray = values - np.repeat(means, counts, axis=-1)
        return centred
