"""The project's own sampler: a population with archives, guided by a surrogate and by what parameters have done.

It begins with the space's default and a spread-out design. Then it scores the unseen valid configurations by a
Gaussian process (expected improvement times probability of success); every few proposals, and where there are too many
to score, the candidates are bred from an elite archive and a diversity archive by crossover and by mutation that
favours the parameters that matter or are least known. Each proposal is a function of (seed, history).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evotune.samplers.archives import Archives
from evotune.samplers.base import SpaceSampler
from evotune.samplers.history import History
from evotune.samplers.initial import spread_out
from evotune.samplers.insight import Insight
from evotune.samplers.screen import Screen
from evotune.samplers.settings import Settings
from evotune.samplers.variation import breed
from evotune.space import ValidSet


class EvolutionSampler(SpaceSampler):
    """Evolution among valid configurations, screened by a surrogate; see the module. Values must be positive."""

    def __init__(self, valid: ValidSet, seed: int = 0, settings: Settings | None = None) -> None:
        """`settings` default to those that suit budgets of some hundreds."""
        super().__init__(valid, seed)
        self.settings = settings or Settings()
        self._screen = Screen(valid, self.settings)

    def propose(self, history: History, rng: np.random.Generator) -> int:
        """The next configuration: of the initial design, bred, or the most promising of all."""
        count = len(history.excluded)
        if count < self.settings.initial or len(history.measured) < self.settings.fewest_measured:
            return spread_out(self.valid, history, self.settings.initial_pool, rng)
        bred = self._bred(history, rng)
        if len(bred) and count % self.settings.breed_every == 0:
            return self._screen.best(bred, history)
        return self._screen.best(self._widened(bred, history, rng), history)

    def _bred(self, history: History, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        insight = Insight.of(self.valid, history)
        archives = Archives.of(self.valid, history, insight, self.settings)
        return breed(self.valid, history, archives, insight, self.settings, rng)

    def _widened(
        self, bred: npt.NDArray[np.int64], history: History, rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """All unseen configurations, or as many as there is time to score beside those that were bred."""
        unseen = np.flatnonzero(history.unseen(len(self.valid)))
        affordable = self.settings.most_correlations // min(len(history.measured), self.settings.most_observations)
        if len(unseen) <= affordable:
            return unseen
        return np.union1d(bred, rng.choice(unseen, size=affordable, replace=False))
