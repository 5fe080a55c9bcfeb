"""Uniformly random configurations, without replacement."""

from __future__ import annotations

import numpy as np

from evotune.samplers.base import SpaceSampler
from evotune.samplers.history import History


class RandomSampler(SpaceSampler):
    """Every unseen valid configuration is equally likely."""

    def propose(self, history: History, rng: np.random.Generator) -> int:
        """Any unseen configuration."""
        return random_unseen(len(self.valid), history, rng)


def random_unseen(count: int, history: History, rng: np.random.Generator) -> int:
    """One of the unseen among `count` configurations, all equally likely."""
    if 2 * len(history.excluded) < count:
        while True:  # at least every second draw is unseen
            i = int(rng.integers(count))
            if i not in history.excluded:
                return i
    return int(rng.choice(np.flatnonzero(history.unseen(count))))
