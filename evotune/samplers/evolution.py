"""The project's own sampler: a population guided by a surrogate and by what parameters have done.

It begins with the space's default and a few configurations unlike each other. Then a Gaussian process scores the unseen
valid configurations (expected improvement times probability of success). Where there are too many to score, it scores
some at random beside offspring of the elite, by crossover and by mutation that favours the parameters, and then the
partners of a parameter, that matter or are least known. Each proposal is a function of (seed, history).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from evotune.samplers.base import SpaceSampler
from evotune.samplers.history import History, Latest
from evotune.samplers.initial import spread_out
from evotune.samplers.insight import Insight
from evotune.samplers.screen import Screen
from evotune.samplers.settings import Settings
from evotune.samplers.variation import breed
from evotune.space import Space, ValidSet


class EvolutionSampler(SpaceSampler):
    """Evolution among valid configurations, screened by a surrogate; see the module. Values must be positive."""

    def __init__(self, valid: ValidSet | Space, seed: int = 0, settings: Settings | None = None) -> None:
        """`settings` default to those that suit budgets of some hundreds."""
        super().__init__(valid, seed)
        self.settings = settings or Settings()
        self._screen = Screen(self.valid, self.settings)
        self._insight: Latest[Insight] = Latest()
        choices = sum(len(parameter.values) > 1 for parameter in self.valid.parameters)
        self._initial = max(self.settings.least_initial, math.ceil(self.settings.initial_per_parameter * choices))

    def propose(self, history: History, rng: np.random.Generator) -> int:
        """The next configuration: of the initial design, or the most promising."""
        if len(history.excluded) < self._initial or len(history.measured) < self.settings.fewest_measured:
            return spread_out(self.valid, history, self.settings, rng)
        return self._screen.best(self._candidates(history, rng), history)

    def bred(self, history: History, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Offspring and neighbours of the elite, unseen and valid; there may be none."""
        return breed(self.valid, history, self.insight(history), self.settings, rng)

    def insight(self, history: History) -> Insight:
        """What each parameter and each pair of them has done so far."""
        return self._insight.of(history, lambda: Insight.of(self.valid.parameters, self.valid.codes, history))

    def _candidates(self, history: History, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """All unseen configurations, or those that were bred and as many others as there is time to score."""
        unseen = np.flatnonzero(history.unseen(len(self.valid)))
        affordable = self.settings.most_correlations // min(len(history.measured), self.settings.most_observations)
        if len(unseen) <= affordable:
            return unseen
        chosen = np.zeros(len(self.valid), dtype=bool)
        chosen[self.bred(history, rng)] = True
        chosen[rng.choice(unseen, size=affordable, replace=False)] = True
        return np.flatnonzero(chosen)
