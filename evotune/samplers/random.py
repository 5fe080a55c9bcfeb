"""Random search: uniform sampling without replacement."""

from __future__ import annotations

import numpy as np

from evotune.samplers.base import SpaceSampler
from evotune.samplers.history import History


class RandomSampler(SpaceSampler):
    """Draws uniformly from the unseen valid configurations."""

    def propose(self, history: History, rng: np.random.Generator) -> int:
        """Return the index of a random unseen configuration."""
        return random_unseen(len(self.valid), history, rng)


def random_unseen(count: int, history: History, rng: np.random.Generator) -> int:
    """Return the index of a random unseen configuration among `count`; all are equally likely."""
    if 2 * len(history.excluded) < count:
        while True:  # a draw is unseen with a probability of more than 1/2
            i = int(rng.integers(count))
            if i not in history.excluded:
                return i
    return int(rng.choice(np.flatnonzero(history.unseen(count))))
