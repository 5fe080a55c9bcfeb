"""Ten searches at once on one cluster and one PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from tests.support.command import environment
from tests.support.db.server import Server
from tests.support.paths import SAXPY
from tests.support.ray_nodes import nodes_here
from tests.support.saxpy import SIXTEEN_BUILDS

pytest_plugins = ["tests.support.db.fixtures"]
pytestmark = [pytest.mark.storm, pytest.mark.timeout(900)]

SEARCHES, BUDGET = 10, 9


def test_ten_searches_at_once_finish_share_what_they_measure_and_lose_nothing(server: Server, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SIXTEEN_BUILDS)
    url = server.new_database()
    with nodes_here(num_cpus=2) as nodes:
        command = [sys.executable, "-m", "evotune", "search", str(SAXPY), "--space", "space.yaml", "--target", "cpu"]
        command += ["--sampler", "random", "--budget", str(BUDGET), "--ray-address", nodes.address, "--db", url]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        running = [
            subprocess.Popen([*command, "--seed", str(seed)], cwd=tmp_path, env=environment(), **pipes)
            for seed in range(SEARCHES)
        ]
        said = [search.communicate(timeout=800)[0] for search in running]
    assert [search.returncode for search in running] == [0] * SEARCHES, said
    with psycopg.connect(url) as connection:

        def ask(query: LiteralString) -> list[tuple[object, ...]]:
            return connection.execute(query).fetchall()

        assert ask("SELECT count(*), sum(budget), count(DISTINCT id) FROM search WHERE state = 'finished'") == [
            (SEARCHES, SEARCHES * BUDGET, SEARCHES)
        ]
        assert ask("SELECT count(*), count(DISTINCT (search_id, number)) FROM trial WHERE finished IS NOT NULL") == [
            (SEARCHES * BUDGET, SEARCHES * BUDGET)
        ]
        [(reused,)] = ask("SELECT count(*) FROM trial WHERE reused_from IS NOT NULL")
        assert int(str(reused)) >= SEARCHES, "of 16 configurations, which others had measured"
        assert ask(
            "SELECT count(*) FROM trial JOIN trial AS origin ON origin.id = trial.reused_from"
            " WHERE origin.configuration_key = trial.configuration_key AND origin.search_id <> trial.search_id"
        ) == [(reused,)], "each from another search's trial of the same configuration"
        # A trial's evidence is there once: an update that was lost, or made twice, would show here.
        assert ask(
            "SELECT count(*) FROM (SELECT trial_id FROM timing WHERE phase = 'search'"
            " GROUP BY trial_id, workload, mode HAVING count(*) > 1) AS twice"
        ) == [(0,)]
