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
    """Optuna's Gaussian process, with scales as integers."""

    ordinal: ClassVar[bool] = True

    def make(self, seed: int, count: int) -> BaseSampler:
        """Optuna's Gaussian process with its defaults."""
        return OptunaGPSampler(seed=seed)

    def propose(self, history: History, rng: np.random.Generator) -> int:
        """See WrappedSampler; on one thread."""
        # While builds keep all cores busy, threads that spin on small matrices cost a hundred times the work.
        with threadpool_limits(limits=1):
            return super().propose(history, rng)
