"""Leaderboards of a large record on PostgreSQL read a part of it; their plans are told by the server itself."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from benchmarks.query_plans import LISTS, explain, explained, record_outcomes
from benchmarks.shared.many_trials import fill
from evotune_db import Database
from evotune_db.engine import open_engines
from evotune_db.records import LeaderboardFilter
from tests.support.db.server import Server

pytest_plugins = ("tests.support.db.fixtures",)

FILTERS = {
    **LISTS,
    "a device by its id": LeaderboardFilter(device="GPU-2", top=3),
    "a workload of a target": LeaderboardFilter(target="sm_89", workload="long", top=1),
    "no kernel of that name": LeaderboardFilter(kernel="none", top=3),
}


@cache
def filled(server: Server) -> str:
    """Fill a database with 80 small searches, more than there are groups."""
    url = server.new_database()
    engines = open_engines(url)
    *_, trials = fill(engines.write, 4_000, per_search=50)
    assert trials == 4_000
    engines.close()
    return url


@pytest.fixture
def url(server: Server) -> str:
    return filled(server)


@pytest.mark.parametrize("name", FILTERS)
def test_the_first_of_each_group_are_those_of_the_whole_ranking(url: str, name: str) -> None:
    wanted = FILTERS[name]
    assert wanted.top is not None
    with Database.open(url) as database:
        whole = database.leaderboard(replace(wanted, top=None))
        assert len(whole) > wanted.top or name.startswith("no ")
        assert database.leaderboard(wanted) == [entry for entry in whole if entry.rank <= wanted.top]


def test_a_list_reads_the_index_of_the_ranking_and_no_table_whole(url: str) -> None:
    engines = open_engines(url)
    with explained(engines.read) as plans:
        Database(engines).leaderboard(LISTS["everything"])
    engines.close()
    [plan] = [each for each in plans if "leaderboard" in each]
    assert "Recursive Union" in plan and "Index Only Scan using ix_leaderboard_rank" in plan


def test_outcomes_are_recorded_beside_what_is_there_and_their_plans_told(url: str) -> None:
    engines = open_engines(url)
    database = Database(engines)
    assert min(record_outcomes(database, 3)) > 0
    told = explain(engines.read, database)
    database.close()
    assert set(told) == {*(f"The leaderboard of {name}" for name in LISTS), "An outcome"}
    assert any("INSERT INTO gate_result" in plan for plan in told["An outcome"])
