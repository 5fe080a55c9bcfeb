"""The seeds of inputs: fixed by the search's own seed, so that a search repeats, and other ones for confirmation."""

from __future__ import annotations

import numpy as np

SEEDS = 3


def search_seeds(seed: int) -> tuple[int, ...]:
    """The seeds that every trial of a search is checked on."""
    return _draw(seed, "search")


def confirmation_seeds(seed: int) -> tuple[int, ...]:
    """Other seeds, which no trial has met."""
    return _draw(seed, "confirm")


def _draw(seed: int, purpose: str) -> tuple[int, ...]:
    draws = np.random.default_rng([seed, *purpose.encode()]).integers(0, 2**31, size=SEEDS)
    return tuple(int(draw) for draw in draws)
