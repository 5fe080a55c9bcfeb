"""Statistics of a comparison: the median of per-block ratios with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

# Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3: 1,000 resamples for a 95 % percentile
# interval. Twice as many here, since repeated looks take the ends of the interval further out.
RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A median with its 95 % interval."""

    median: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval's width, relative to the median."""
        return (self.high - self.low) / 2 / self.median


def mean_interval(ratios: Sequence[float]) -> Interval:
    """Return the geometric mean of independent ratios with Student's 95 % interval on their logarithms.

    Raises ValueError for fewer than two ratios.
    """
    if len(ratios) < 2:
        raise ValueError(f"an interval of a mean needs at least two values, got {len(ratios)}")
    logs = np.log(np.asarray(ratios, dtype=float))
    half = stdtrit(len(logs) - 1, (1 + CONFIDENCE) / 2) * logs.std(ddof=1) / np.sqrt(len(logs))
    return Interval(*(float(np.exp(logs.mean() + off)) for off in (0.0, -half, half)))


def median_interval(values: Sequence[float], looks: int = 1) -> Interval:
    """Return the median with its percentile-bootstrap interval; deterministic. Raises ValueError without values.

    Measuring until the interval is narrow means looking at it several times, and stopping at a look that happens to be
    narrow. Nominal 95 % intervals then covered 91 %. Each of the `looks` therefore gets an equal share of the 5 %
    (Bonferroni): the interval at the stop covers at least 95 %.
    """
    if not values:
        raise ValueError("an interval needs at least one value, got none")
    data = np.asarray(values, dtype=float)
    draws = np.random.default_rng(0).integers(0, len(data), size=(RESAMPLES, len(data)))
    medians = np.median(data[draws], axis=1)
    tail = (1 - CONFIDENCE) / looks / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Interval(float(np.median(data)), float(low), float(high))
