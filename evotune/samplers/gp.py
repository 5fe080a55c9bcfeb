"""Optuna's Gaussian-process sampler."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from optuna.samplers import BaseSampler
from optuna.samplers import GPSampler as OptunaGPSampler
from threadpoolctl import threadpool_limits

from evotune.samplers.history import History
from evotune.samplers.wrapped import WrappedSampler


class GPSampler(WrappedSampler):
    """Wraps Optuna's Gaussian-process sampler; ordered parameters are integers."""

    ordinal: ClassVar[bool] = True

    def make(self, seed: int, count: int) -> BaseSampler:
        """Create Optuna's sampler with its default settings."""
        return OptunaGPSampler(seed=seed)

    def propose(self, history: History, rng: np.random.Generator) -> int:
        """Propose as WrappedSampler does, on one thread."""
        # Builds keep all cores busy. BLAS threads that spin on small matrices would then take 100 times as long.
        with threadpool_limits(limits=1):
            return super().propose(history, rng)
