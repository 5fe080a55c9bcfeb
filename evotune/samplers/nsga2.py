"""Optuna's NSGA-II, with one objective a generational genetic algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.samplers import BaseSampler
from optuna.samplers import NSGAIISampler as OptunaNSGAIISampler

from evotune.samplers.wrapped import WrappedSampler

# Optuna's 50 leaves four generations of a budget of 200; on the recorded spaces 20 is better throughout.
POPULATION_SIZE = 20


class NSGAIISampler(WrappedSampler):
    """NSGA-II with generations of 20."""

    def make(self, seed: int, count: int) -> BaseSampler:
        """Optuna's NSGA-II."""
        return OptunaNSGAIISampler(population_size=POPULATION_SIZE, seed=seed)

    def attributes(self, position: int) -> Mapping[str, Any]:
        """The generation, which Optuna keeps with each trial."""
        return {OptunaNSGAIISampler._get_generation_key(): position // POPULATION_SIZE}
