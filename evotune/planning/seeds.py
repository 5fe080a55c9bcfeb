"""Seeds of the inputs: fixed by the search's own seed, so that a search repeats; others for confirmation."""

from __future__ import annotations

import numpy as np

SEEDS = 3


def search_seeds(seed: int) -> tuple[int, ...]:
    """Return the seeds that every trial of a search is checked on."""
    return _draw(seed, "search")


def confirmation_seeds(seed: int) -> tuple[int, ...]:
    """Return other seeds, which no trial was checked on."""
    return _draw(seed, "confirm")


def _draw(seed: int, purpose: str) -> tuple[int, ...]:
    draws = np.random.default_rng([seed, *purpose.encode()]).integers(0, 2**31, size=SEEDS)
    return tuple(int(draw) for draw in draws)
