"""What each parameter has done so far, with its uncertainty: it decides what mutation tries.

Effects are means of standardised log values per value of a parameter, shrunk towards none by one pseudo-observation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evotune.samplers.history import History
from evotune.space import ValidSet

# The weight of "no effect" against what was observed.
_PSEUDO_OBSERVATIONS = 1.0


@dataclass(frozen=True, eq=False)
class Effect:
    """One parameter. `means[v]` is the shrunk mean at value v (negative is fast), `counts[v]` its observations."""

    means: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    @property
    def size(self) -> float:
        """How much the values differ from each other so far, in standard deviations of the log value."""
        return float(np.std(self.means))

    @property
    def uncertainty(self) -> float:
        """The mean standard error over values: 1 where nothing was observed."""
        return float(np.mean(1.0 / np.sqrt(self.counts + _PSEUDO_OBSERVATIONS)))


@dataclass(frozen=True, eq=False)
class Insight:
    """The effects of all parameters, in their order in the space."""

    effects: tuple[Effect, ...]

    @classmethod
    def of(cls, valid: ValidSet, history: History) -> Insight:
        """What the measured configurations say; there may be none."""
        scores = standardise(np.log(history.values)) if len(history.values) else history.values
        codes = valid.codes[history.measured]
        return cls(
            tuple(_effect(codes[:, j], scores, len(parameter.values)) for j, parameter in enumerate(valid.parameters))
        )

    def mutation_weights(self) -> npt.NDArray[np.float64]:
        """Probability that mutation takes each parameter: what matters or is unknown is tried more."""
        single = np.array([len(effect.means) == 1 for effect in self.effects])
        weights = np.array([effect.size + effect.uncertainty for effect in self.effects])
        weights[single] = 0.0
        total = weights.sum()
        return weights / total if total > 0 else np.full(len(weights), 1.0 / len(weights))

    def leading(self, count: int) -> list[int]:
        """The parameters with the largest effects, by their place in the space."""
        return sorted(range(len(self.effects)), key=lambda j: (-self.effects[j].size, j))[:count]


def standardise(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Values with mean 0 and standard deviation 1 (all 0 where they are all alike)."""
    deviation = float(values.std())
    return np.asarray((values - values.mean()) / (deviation if deviation > 0 else 1.0))


def _effect(codes: npt.NDArray[np.integer], scores: npt.NDArray[np.float64], size: int) -> Effect:
    counts = np.bincount(codes, minlength=size)
    sums = np.bincount(codes, weights=scores, minlength=size)
    return Effect(sums / (counts + _PSEUDO_OBSERVATIONS), counts)
