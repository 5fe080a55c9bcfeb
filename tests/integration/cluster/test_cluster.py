"""Searches on a cluster whose nodes come, go, and differ: real raylets, the real compiler, the CPU as the device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import psutil
import pytest
import ray

from evotune_workers.cluster.connection import ClusterError, connected
from tests.support.command import evotune, evotune_here, evotune_started
from tests.support.paths import SAXPY
from tests.support.ray_nodes import NodesHere, another_version, nodes_here
from tests.support.running import running_below

BUDGET = 8
# None is right, so that none is timed, which a busy machine disturbs. Those that hang until they are killed give
# nodes time to go and come.
EIGHT_BUILDS = """
kernel: saxpy
variant: cpu
parameters:
  unroll: [1, 2, 3, 4, 5, 6, 7, 8]
  threads: [1]
  fault: {values: [wrong, hang], kind: categorical}
constraints:
  - (unroll <= 6) == (fault == "hang")
"""
SEARCH = ("search", str(SAXPY), "--space", "space.yaml", "--target", "cpu", "--sampler", "random")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "space.yaml").write_text(EIGHT_BUILDS)
    return tmp_path


@pytest.fixture(scope="module")
def head() -> Iterator[NodesHere]:
    """Start a head of one core."""
    with nodes_here(num_cpus=1) as nodes:
        yield nodes


@pytest.fixture
def cluster(head: NodesHere) -> Iterator[NodesHere]:
    """Leave the head alone."""
    with head.more():
        yield head


def ask(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(connect(folder / "evotune.db")) as connection:
        return connection.execute(query).fetchall()


def await_measuring(folder: Path) -> None:
    """Wait until a trial is measured, or has been."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (folder / "evotune.db").exists() and ask(folder, "SELECT 1 FROM sqlite_master WHERE name = 'health_check'"):
            [(count,)] = ask(folder, "SELECT count(*) FROM trial WHERE state IN ('measuring', 'passed', 'failed')")
            if count:
                return
        time.sleep(0.05)
    raise AssertionError("no trial was measured in two minutes")


@pytest.mark.usefixtures("empty_cache")
def test_nodes_that_leave_join_and_cannot_do_everything_cost_a_search_nothing_but_time(
    folder: Path, cluster: NodesHere
) -> None:
    leaving = cluster.add()
    cluster.add(env_vars=another_version(folder / "old", "torch", "1.2.3"))
    cluster.add(env_vars={"CXX": "missing-compiler"})
    arguments = (*SEARCH, "--budget", str(BUDGET), "--ray-address", cluster.address)
    with evotune_started(*arguments, folder=folder, merged=True) as search:
        await_measuring(folder)
        cluster.kill(leaving)
        cluster.add()
        said, _ = search.communicate(timeout=200)
    assert search.returncode == 1, said
    assert ask(folder, "SELECT count(*), count(DISTINCT number), sum(state = 'failed') FROM trial") == [
        (BUDGET, BUDGET, BUDGET)
    ], said
    failed = "SELECT gate, count(DISTINCT trial_id) FROM gate_result WHERE phase = 'search' AND NOT passed GROUP BY 1"
    assert ask(folder, failed) == [("launch", 6), ("numerics", 2)]
    assert "does not measure: torch must be " in said and ", got 1.2.3" in said
    for cannot in ("does not measure", "builds nothing"):
        assert f"{cannot}: the cpu target needs a C++ compiler, got none called missing-compiler" in said
    assert "was lost; its jobs are done again" in said and "has come" in said
    assert "raylet" not in said, "what Ray prints is not the search's"


def test_a_cluster_whose_every_node_has_another_version_is_refused_with_both_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in another_version(folder / "old", "torch", "1.2.3").items():
        monkeypatch.setenv(name, value)
    with nodes_here(num_cpus=1) as nodes:
        monkeypatch.undo()
        ran = evotune(*SEARCH, "--ray-address", nodes.address, folder=folder)
    assert ran.returncode == 2 and len(ran.stderr.splitlines()) == 1, ran.stderr
    assert "torch must be " in ran.stderr and " as here, got 1.2.3" in ran.stderr


def test_a_cluster_of_another_ray_is_refused_with_both_versions_named(
    cluster: NodesHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster_has = ray.__version__
    monkeypatch.setattr(ray, "__version__", "2.0.0")
    with pytest.raises(ClusterError) as refused, connected(cluster.address):
        pass
    assert f"Ray: {cluster_has}" in str(refused.value) and "Ray: 2.0.0" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_nodes_run_the_code_that_the_search_has(cluster: NodesHere) -> None:
    with connected(cluster.address):

        def where() -> str:
            import evotune_workers

            return str(evotune_workers.__file__)

        assert "py_modules_files" in ray.get(ray.remote(where).remote())


def test_a_local_ray_listens_on_the_loopback_alone_and_has_no_process_that_only_observes() -> None:
    before = running_below()
    with connected(None):
        ray.get(ray.remote(lambda: None).remote())
        started = [process for process in running_below() if process not in before]
        ours = [psutil.Process(), *started]
        # The raylet's command line has the commands that it starts.
        titles = [" ".join(process.cmdline()) for process in started if process.name() != "raylet"]
        listening = [
            connection.laddr.ip
            for process in ours
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
    assert not [title for title in titles if "Agent" in title or "monitor" in title or "dashboard.py" in title]
    assert sum("idle_agent.py" in title for title in titles) == 2
    assert listening and {address.removeprefix("::ffff:") for address in listening} <= {"127.0.0.1", "::1"}


def test_a_joined_address_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    ran = evotune_here(
        "search",
        str(SAXPY),
        "--space",
        str(SAXPY / "cpu.yaml"),
        "--budget",
        "3",
        "--ray-address",
        "127.0.0.1:1",
        folder=tmp_path,
    )
    assert ran.returncode == 2
    assert "127.0.0.1:1" in ran.stderr and "Traceback" not in ran.stderr
