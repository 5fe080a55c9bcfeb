"""A search is killed again and again, in parts and whole, and nothing is lost; see docs/durable.md."""

from __future__ import annotations

import random

import pytest

from tests.storm.__main__ import storm
from tests.support.db.server import programs_or_skip

# Builds alone, a few kills: `make storm` measures, and kills a hundred times on each database; a measurement whose
# child is killed is in integration/measuring.
KILLS_AND_FATAL_EVERY = {"sqlite": (2, 2), "postgresql": (4, 2)}


@pytest.mark.parametrize("database", KILLS_AND_FATAL_EVERY)
def test_a_search_that_is_killed_at_random_moments_ends_with_its_budget_and_loses_nothing(database: str) -> None:
    if database == "postgresql":
        programs_or_skip()
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    with storm(database, build_only=True, seed=seed) as made:
        made.blow(*KILLS_AND_FATAL_EVERY[database])
