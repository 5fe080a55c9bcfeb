"""Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

from optuna.samplers import BaseSampler
from optuna.samplers import TPESampler as OptunaTPESampler

from evotune.samplers.wrapped import WrappedSampler


class TPESampler(WrappedSampler):
    """Wraps Optuna's TPE sampler, with all parameters categorical.

    With integers, most of its proposals would be repeats where parameters have few values.
    """

    def make(self, seed: int, count: int) -> BaseSampler:
        """Create Optuna's sampler with its default settings."""
        return OptunaTPESampler(seed=seed)
