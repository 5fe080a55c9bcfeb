"""The evolution sampler without one of its parts: what a part is worth is what its absence costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from benchmarks.replay_derived import with_quantities
from evotune.samplers import SpaceSampler, make_sampler
from evotune.samplers.evolution import EvolutionSampler
from evotune.samplers.history import History
from evotune.samplers.insight import Insight
from evotune.samplers.random import random_unseen
from evotune.samplers.settings import Prior, Settings
from evotune.space import ValidSet

# Correlations a proposal may cost where the set is to count as too large to be scored whole: 200 observations leave
# 1,000 candidates of some 10,000, as the default leaves 20,000 of 200,000.
_FEW_CORRELATIONS = 200_000
_LARGE = Settings(most_correlations=_FEW_CORRELATIONS)


def make(name: str, valid: ValidSet, seed: int) -> SpaceSampler:
    """A sampler of the registry or of VARIANTS."""
    return VARIANTS[name](valid, seed) if name in VARIANTS else make_sampler(name, valid, seed)


class NoSurrogate(EvolutionSampler):
    """Any of the offspring, where there are some: a genetic algorithm."""

    def propose(self, history: History, rng: np.random.Generator) -> int:
        if len(history.measured) < self.settings.fewest_measured:
            return super().propose(history, rng)
        bred = self.bred(history, rng)
        return int(rng.choice(bred)) if len(bred) else random_unseen(len(self.valid), history, rng)


class NoInsight(EvolutionSampler):
    """Mutation takes every parameter, and every partner, about equally often."""

    def insight(self, history: History) -> Insight:
        return super().insight(History.of([], []))


class NoPopulation(EvolutionSampler):
    """No offspring: all unseen configurations, or as many at random as there is time for."""

    def bred(self, history: History, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        return np.empty(0, dtype=np.int64)


class DerivedForTimes(EvolutionSampler):
    """What the kernel derives feeds the surrogate of the times, too, not that of the failures alone."""

    def __init__(self, valid: ValidSet, seed: int = 0) -> None:
        super().__init__(with_quantities(valid), seed)
        self._screen._terrain = self._screen._failing


def _with(kind: type[EvolutionSampler], settings: Settings) -> Callable[[ValidSet, int], SpaceSampler]:
    return lambda valid, seed: kind(valid, seed, settings)


VARIANTS: Mapping[str, Callable[[ValidSet, int], SpaceSampler]] = MappingProxyType(
    {
        "evolution, no surrogate": _with(NoSurrogate, Settings()),
        "evolution, no trend": _with(EvolutionSampler, Settings(prior=Prior(unevenness_cost=0.0))),
        "derived": lambda valid, seed: EvolutionSampler(with_quantities(valid), seed),
        "derived_for_times": DerivedForTimes,
        "evolution, large": _with(EvolutionSampler, _LARGE),
        "evolution, large, no population": _with(NoPopulation, _LARGE),
        "evolution, large, no insight": _with(NoInsight, _LARGE),
    }
)
