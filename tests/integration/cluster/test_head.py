"""A cluster loses a node that builds, then the search, then its head: nothing that was recorded is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evotune.cli import run
from evotune_workers.cluster import head
from tests.support.command import evotune_here, evotune_started
from tests.support.paths import SAXPY
from tests.support.ray_nodes import NodesHere, nodes_here
from tests.support.record import ENDED, ask, ended, wait_for_trials
from tests.support.running import running_named
from tests.support.saxpy import SIXTEEN_BUILDS

BUDGET = 16
OUTCOMES = "SELECT number, configuration_key, state, finished FROM trial WHERE state = 'built' ORDER BY number"


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_the_head(when: Callable[[], bool]) -> None:
    """As a machine that is lost: what others know of it is gone at once, and nothing builds there any more."""
    wait_until(when)
    for name in ("gcs_server", "raylet"):
        [process] = running_named(name)
        process.kill()


def killed_after_its_node(folder: Path, nodes: NodesHere) -> None:
    """Kill a node of a search's cluster while it builds, and a trial later the search itself."""
    leaving, database = nodes.add(), folder / "evotune.db"
    search = ("search", str(SAXPY), "--space", "space.yaml", "--target", "cpu", "--build-only", "--budget", str(BUDGET))
    with evotune_started(*search, "--ray-address", nodes.address, folder=folder, merged=True) as process:
        wait_for_trials(database, 1, process)
        wait_until(lambda: nodes.compiles_on(leaving))
        nodes.kill(leaving)
        wait_for_trials(database, ended(database) + 1, process)
        process.kill()


@pytest.mark.usefixtures("empty_cache")
def test_a_lost_node_a_killed_search_and_a_lost_head_cost_a_search_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "space.yaml").write_text(SIXTEEN_BUILDS)
    database = tmp_path / "evotune.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(head, "LOST_SECONDS", 2.0)
    with nodes_here(num_cpus=1) as nodes, ThreadPoolExecutor() as beside:
        killed_after_its_node(tmp_path, nodes)
        kept = ask(database, OUTCOMES)
        kill = beside.submit(kill_the_head, lambda: ended(database) > len(kept))
        assert run(["search", "--resume", "1", "--ray-address", nodes.address]) == 2
        kill.result()
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "the cluster's head must answer at " in line and "then go on: evotune search" in line
    assert set(kept) <= set(later := ask(database, OUTCOMES)) and len(later) < BUDGET
    with nodes_here(num_cpus=1) as nodes:
        resumed = evotune_here("search", "--resume", "1", "--ray-address", nodes.address, folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert ask(database, ENDED) == [(BUDGET,)] and set(later) <= set(ask(database, OUTCOMES))
    assert ask(database, "SELECT count(DISTINCT number), count(DISTINCT configuration_key) FROM trial") == [
        (BUDGET, BUDGET)
    ]
