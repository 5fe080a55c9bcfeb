"""Optuna's NSGA-II; with one objective it is a generational genetic algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.samplers import BaseSampler
from optuna.samplers import NSGAIISampler as OptunaNSGAIISampler

from evotune.samplers.wrapped import WrappedSampler

# Optuna's default of 50 gives four generations in a budget of 200. On all recorded spaces, 20 is better.
POPULATION_SIZE = 20


class NSGAIISampler(WrappedSampler):
    """Wraps Optuna's NSGA-II sampler, with a population of 20."""

    def make(self, seed: int, count: int) -> BaseSampler:
        """Create Optuna's sampler with our population size."""
        return OptunaNSGAIISampler(population_size=POPULATION_SIZE, seed=seed)

    def attributes(self, position: int) -> Mapping[str, Any]:
        """Return the generation, which Optuna stores with each trial."""
        return {OptunaNSGAIISampler._get_generation_key(): position // POPULATION_SIZE}
