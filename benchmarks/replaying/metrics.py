"""Figures of searches of a recorded space: the distance to the optimum, and the evaluations that this took.

Curves have the shape (seeds, budget): the best time after each evaluation, NaN before the first success. An evaluation
is a configuration that is tried for the first time, failed or not. The score follows Willemsen et al., A methodology
for comparing optimization algorithms for auto-tuning, FGCS 2024, with the percentage of the optimum instead of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evotune.replay import Recording

Array = npt.NDArray[np.float64]

CHECKPOINTS = (25, 50, 100, 200)
FORMS = {
    **{f"% at {n}": ".1f" for n in CHECKPOINTS},
    "to 5 %": ".0f",
    "reached 5 %": ".2f",
    "within 1 %": ".2f",
    "score": ".3f",
}
"""All figures, in the order of a table's columns, with their format."""
_WITHIN_5 = 100.0 / 1.05 - 1e-9
_WITHIN_1 = 100.0 / 1.01 - 1e-9
# The score is the mean over this many evaluation counts, up to the one at which random search has closed this share of
# the gap between the median and the optimum.
_POINTS, _GAP_CLOSED = 20, 0.95
# Percent; rounding can leave this much even if random search has certainly found the optimum.
_NO_SHORTFALL = 1e-9


@dataclass(frozen=True)
class Estimate:
    """A figure's mean over seeds with its standard error."""

    mean: float
    standard_error: float

    def written(self, form: str) -> str:
        """Format both numbers in this form."""
        return f"{self.mean:{form}} ± {self.standard_error:{form}}"


@dataclass(frozen=True, eq=False)
class Figure:
    """One of FORMS with the value of every seed, shape (seeds,) or (spaces, seeds)."""

    name: str
    values: Array

    @property
    def mean(self) -> float:
        """Return the mean over spaces and seeds."""
        return float(self.values.mean())

    @property
    def standard_error(self) -> float:
        """Return the standard error of the mean over seeds, for fixed spaces; 0 for a single seed."""
        rows = np.atleast_2d(self.values)
        spaces, seeds = rows.shape
        return float(np.sqrt((rows.var(axis=1, ddof=1) / seeds).sum()) / spaces) if seeds > 1 else 0.0


def figures_of(recording: Recording, curves: Array) -> list[Figure]:
    """Return all figures of these runs on one space."""
    budget = curves.shape[1]
    percent = np.where(np.isnan(curves), 0.0, 100.0 * recording.optimum / curves)
    near = percent >= _WITHIN_5
    first = np.where(near.any(axis=1), near.argmax(axis=1) + 1, budget).astype(np.float64)
    checkpoints = [Figure(f"% at {n}", percent[:, n - 1]) for n in CHECKPOINTS if n <= budget]
    return [
        *checkpoints,
        Figure("to 5 %", first),
        Figure("reached 5 %", np.asarray(near.any(axis=1), dtype=np.float64)),
        Figure("within 1 %", np.asarray(percent[:, -1] >= _WITHIN_1, dtype=np.float64)),
        Figure("score", _scores(recording, percent)),
    ]


def over_spaces(figures: Sequence[Sequence[Figure]]) -> list[Figure]:
    """Join the figures of several spaces, with equal weights, into one row."""
    columns = zip(*figures, strict=True)
    return [Figure(column[0].name, np.stack([f.values for f in column])) for column in columns]


def _scores(recording: Recording, percent: Array) -> Array:
    """Return the share of random search's expected shortfall that each run removed; 0 if there is no shortfall."""
    counts = _counts(recording, percent.shape[1])
    random = 100.0 * np.array([_expected(recording, n, recording.optimum / recording.passing, 0.0) for n in counts])
    short = 100.0 - random > _NO_SHORTFALL
    if not short.any():
        return np.zeros(len(percent))
    removed = (percent[:, counts[short] - 1] - random[short]) / (100.0 - random[short])
    return np.asarray(removed.mean(axis=1))


def _counts(recording: Recording, budget: int) -> npt.NDArray[np.int64]:
    """Return the evaluation counts at which the score is taken."""
    passing = recording.passing
    target = passing[0] + (1.0 - _GAP_CLOSED) * (float(np.median(passing)) - passing[0])
    enough = [n for n in range(1, budget + 1) if _expected(recording, n, passing, float(passing[-1])) <= target]
    cut = max(enough[0], _POINTS) if enough else budget
    return np.unique(np.linspace(cut / _POINTS, cut, _POINTS).round().astype(np.int64))


def _expected(recording: Recording, count: int, worth: Array, nothing: float) -> float:
    """Return the expected worth of the best of `count` configurations drawn at random without replacement.

    `worth` is given for the passing configurations, best first; `nothing` is the worth of failures only.
    """
    total = len(recording.times)
    ranks = np.arange(len(worth))
    with np.errstate(divide="ignore"):
        missed = np.cumsum(np.log(np.maximum(total - count - ranks, 0) / (total - ranks)))
    survival = np.exp(np.concatenate([[0.0], missed]))
    return float((survival[:-1] - survival[1:]) @ worth + survival[-1] * nothing)
