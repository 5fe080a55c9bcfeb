"""The initial design: the space's default, then configurations that differ most from all earlier proposals.

They come from a random pool that prefers powers of two. The fastest configurations mostly have such values, and an
initial design without them says nothing about them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evotune.samplers.aspects import unevenness
from evotune.samplers.covariance import CovarianceFunction, Hyperparameters, correlation
from evotune.samplers.history import History
from evotune.samplers.random import random_unseen
from evotune.samplers.settings import Settings
from evotune.space import ValidSet


def spread_out(valid: ValidSet, history: History, settings: Settings, rng: np.random.Generator) -> int:
    """Return the default if it is unseen, else the member of a random pool that correlates least with all seen."""
    if valid.default is not None and valid.default not in history.excluded:
        return valid.default
    pool = _pool(valid, history, settings, rng)
    if not len(pool):
        return random_unseen(len(valid), history, rng)
    if not history.excluded:
        return int(pool[0])
    covariance = CovarianceFunction(valid.parameters)
    tables = covariance.tables(Hyperparameters.of(covariance.prior(settings.prior)[0]))
    seen = valid.codes[np.array(sorted(history.excluded))]
    return int(pool[np.argmin(correlation(tables, valid.codes[pool], seen).max(axis=1))])


def _pool(valid: ValidSet, history: History, settings: Settings, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw unseen configurations, in random order."""
    drawn = np.unique(rng.integers(len(valid), size=settings.initial_draws))
    drawn = drawn[history.unseen(len(valid))[drawn]]
    # Draw at most a quarter of a small space: otherwise every seed would begin with the same corners.
    size = min(settings.initial_pool, 1 + len(valid) // 4, len(drawn))
    if not size:
        return drawn
    weights = np.ones(len(drawn))
    for j, parameter in enumerate(valid.parameters):
        uneven = unevenness(parameter) > 0
        weights *= np.where(uneven, settings.uneven_weight, 1.0)[valid.codes[drawn, j]]
    return np.asarray(rng.choice(drawn, size=size, replace=False, p=weights / weights.sum()))
