"""Expected improvement (Jones, Schonlau and Welch, 1998, eq. 15), for minimisation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Array = npt.NDArray[np.float64]


def expected_improvement(best: float, mean: Array, deviation: Array) -> Array:
    """Return the expected improvement over `best` of normal values with these means and standard deviations.

    It is never negative.
    """
    standard = (best - mean) / deviation
    density = np.exp(-0.5 * standard**2) / np.sqrt(2.0 * np.pi)
    gain: Array = deviation * (density + standard * ndtr(standard))
    return np.asarray(np.maximum(gain, 0.0))
