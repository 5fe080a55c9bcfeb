"""A search is killed again and again, in parts and whole, and nothing is lost; see docs/durable.md."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.command import environment
from tests.support.db.server import programs_or_skip

# A dozen in all; `make storm` kills a hundred times on each database.
STORMS = {
    "sqlite": ("--kills", "2", "--fatal-every", "2"),
    "postgresql": ("--build-only", "--kills", "10", "--fatal-every", "5"),
}


@pytest.mark.parametrize("database", STORMS)
def test_a_search_that_is_killed_at_random_moments_ends_with_its_budget_and_loses_nothing(database: str) -> None:
    if database == "postgresql":
        programs_or_skip()
    command = [sys.executable, "-m", "tests.storm", "--database", database, *STORMS[database]]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stdout + ran.stderr
