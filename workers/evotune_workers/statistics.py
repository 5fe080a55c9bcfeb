"""The statistics of a comparison: the median of per-block ratios with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# 1,000 resamples put the ends of a 95 % percentile interval within about 0.5 % of their rank (Efron and Tibshirani, An
# Introduction to the Bootstrap, 1993, section 13.3 recommends 1,000 for percentile intervals).
RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A median with its 95 % interval."""

    median: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the interval's width relative to the median."""
        return (self.high - self.low) / 2 / self.median


def median_interval(values: Sequence[float]) -> Interval:
    """Percentile-bootstrap interval of the median; deterministic. ValueError when there are no values."""
    if not values:
        raise ValueError("an interval needs at least one value, got none")
    data = np.asarray(values, dtype=float)
    draws = np.random.default_rng(0).integers(0, len(data), size=(RESAMPLES, len(data)))
    medians = np.median(data[draws], axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Interval(float(np.median(data)), float(low), float(high))
