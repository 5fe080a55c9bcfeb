"""What is kept of the population: the best, and the best of each niche."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evotune.samplers.history import History
from evotune.samplers.insight import Insight
from evotune.samplers.settings import Settings
from evotune.space import ValidSet


@dataclass(frozen=True, eq=False)
class Archives:
    """Numbers of configurations, best first. Niches are combinations of values of the parameters that matter."""

    elite: npt.NDArray[np.int64]
    diversity: npt.NDArray[np.int64]

    @classmethod
    def of(cls, valid: ValidSet, history: History, insight: Insight, settings: Settings) -> Archives:
        """The archives of the measured configurations."""
        ranked = history.measured[np.argsort(history.values, kind="stable")]
        niches = valid.codes[ranked][:, insight.leading(settings.niche_parameters)]
        _, firsts = np.unique(niches, axis=0, return_index=True)
        return cls(ranked[: settings.elites], ranked[np.sort(firsts)])

    @property
    def parents(self) -> npt.NDArray[np.int64]:
        """Both archives: a configuration in both is twice as likely to be a parent."""
        return np.concatenate([self.elite, self.diversity])
