"""The initial design: the space's own default, then configurations far from all that were proposed."""

from __future__ import annotations

import numpy as np

from evotune.samplers.history import History
from evotune.samplers.random import random_unseen
from evotune.space import ValidSet


def spread_out(valid: ValidSet, history: History, pool: int, rng: np.random.Generator) -> int:
    """The default if it is unseen, else the one of `pool` random configurations that is farthest from all seen."""
    if valid.default is not None and valid.default not in history.excluded:
        return valid.default
    if not history.excluded:
        return random_unseen(len(valid), history, rng)
    # Of a small space only a quarter is drawn, or every seed would begin with the same corners.
    drawn = np.unique(rng.integers(len(valid), size=min(pool, 1 + len(valid) // 4)))
    drawn = drawn[history.unseen(len(valid))[drawn]]
    if not len(drawn):
        return random_unseen(len(valid), history, rng)
    seen = valid.features[np.array(sorted(history.excluded))]
    nearest = np.full(len(drawn), np.inf)
    for row in seen:
        nearest = np.minimum(nearest, np.square(valid.features[drawn] - row).sum(axis=1))
    return int(drawn[np.argmax(nearest)])
