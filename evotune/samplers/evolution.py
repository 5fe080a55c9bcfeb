"""The project's own sampler: an evolutionary search that a surrogate model guides.

It begins with the space's default and a few configurations that differ much from each other. Then a Gaussian process
scores the unseen valid configurations by expected improvement times probability of success. If there are too many to
score, it scores a random subset, the neighbours of the elite and its offspring by crossover and mutation. Mutation
prefers parameters, and pairs of parameters, whose effect is large or uncertain.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from evotune.samplers.base import SpaceSampler
from evotune.samplers.effects import ParameterEffects
from evotune.samplers.history import History, HistoryCache
from evotune.samplers.initial import spread_out
from evotune.samplers.screen import Screen
from evotune.samplers.settings import Settings
from evotune.samplers.variation import breed
from evotune.space import Space, ValidSet


class EvolutionSampler(SpaceSampler):
    """Evolution among valid configurations, with a surrogate model; see the module. Values must be positive."""

    def __init__(self, valid: ValidSet | Space, seed: int = 0, settings: Settings | None = None) -> None:
        """Create the models for a valid set; the default settings suit budgets of some hundred trials."""
        super().__init__(valid, seed)
        self.settings = settings or Settings()
        self._screen = Screen(self.valid, self.settings)
        self._effects: HistoryCache[ParameterEffects] = HistoryCache()
        choices = sum(len(parameter.values) > 1 for parameter in self.valid.parameters)
        self._initial = max(self.settings.least_initial, math.ceil(self.settings.initial_per_parameter * choices))

    def propose(self, history: History, rng: np.random.Generator) -> int:
        """Return the next point of the initial design, then the candidate with the best acquisition value."""
        if len(history.excluded) < self._initial or len(history.measured) < self.settings.fewest_measured:
            return spread_out(self.valid, history, self.settings, rng)
        return self._screen.best(self._candidates(history, rng), history)

    def offspring(self, history: History, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return the unseen valid offspring and neighbours of the elite; there may be none."""
        return breed(self.valid, history, self.effects(history), self.settings, rng)

    def effects(self, history: History) -> ParameterEffects:
        """Return the estimated effect of each parameter and of each pair of parameters."""
        return self._effects.get(history, lambda: ParameterEffects.of(self.valid.parameters, self.valid.codes, history))

    def _candidates(self, history: History, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return all unseen configurations; if they are too many, the offspring and a random subset."""
        unseen = np.flatnonzero(history.unseen(len(self.valid)))
        affordable = self.settings.most_correlations // min(len(history.measured), self.settings.most_observations)
        if len(unseen) <= affordable:
            return unseen
        chosen = np.zeros(len(self.valid), dtype=bool)
        chosen[self.offspring(history, rng)] = True
        chosen[rng.choice(unseen, size=affordable, replace=False)] = True
        return np.flatnonzero(chosen)
