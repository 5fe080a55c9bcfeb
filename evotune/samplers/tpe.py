"""Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

from optuna.samplers import BaseSampler
from optuna.samplers import TPESampler as OptunaTPESampler

from evotune.samplers.wrapped import WrappedSampler


class TPESampler(WrappedSampler):
    """TPE over categories: with ordered parameters most of its proposals repeat in spaces of few values."""

    def make(self, seed: int, count: int) -> BaseSampler:
        """Optuna's TPE with its defaults."""
        return OptunaTPESampler(seed=seed)
