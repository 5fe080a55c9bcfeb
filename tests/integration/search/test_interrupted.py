"""Ctrl-C ends a search gracefully, and it goes on as if it had never been stopped: real compiler, Ray and SQLite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evotune.search.study import Study
from evotune.space import configuration_key, load_space
from evotune_workers.kernel.device import cpu_device
from tests.storm.processes import GONE_WITHIN_SECONDS, has_ended
from tests.support.command import environment, evotune_here, evotune_started
from tests.support.paths import ROOT, SAXPY
from tests.support.record import ENDED, ask, ended, wait_for_trials
from tests.support.running import running_below
from tests.support.saxpy import SIXTEEN_BUILDS

pytestmark = pytest.mark.usefixtures("empty_cache")
# All that there are, and stopped after the first: a fast machine builds them in a second or two.
BUDGET = 16
SEARCH = (
    *("search", str(SAXPY), "--space", "space.yaml", "--target", "cpu"),
    *("--build-only", "--budget", str(BUDGET)),
)


def test_an_interrupted_search_ends_gracefully_and_resumes_to_its_exact_budget_and_proposals(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SIXTEEN_BUILDS)
    database = tmp_path / "evotune.db"
    with evotune_started(*SEARCH, folder=tmp_path, merged=True) as process:
        wait_for_trials(database, 1, process)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "--resume 1" in output
    assert 1 <= ended(database) < BUDGET
    resumed = evotune_here("search", "--resume", "1", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr + resumed.stdout
    assert ask(database, ENDED) == [(BUDGET,)]
    assert ask(database, "SELECT configuration_key FROM trial ORDER BY number") == proposals(tmp_path / "space.yaml")


def test_a_signal_to_its_process_group_is_an_interrupt_too(tmp_path: Path) -> None:
    """As `timeout` sends it: Ray's daemons are told by the search, and end with it."""
    (tmp_path / "space.yaml").write_text(SIXTEEN_BUILDS)
    with evotune_started(*SEARCH, folder=tmp_path, merged=True) as process:
        wait_for_trials(tmp_path / "evotune.db", 1, process)
        started = running_below(process.pid)
        os.killpg(process.pid, signal.SIGTERM)
        told, _ = process.communicate(timeout=60)
    assert "raylet" in started.values()
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while left := [name for each, name in started.items() if not has_ended(each)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert process.returncode == 130, told
    assert "search 1 interrupted after" in told and "--resume 1" in told and "must stay up" not in told


def test_a_lost_terminal_is_an_interrupt_too(tmp_path: Path) -> None:
    """As when a connection to the machine breaks."""
    ours, terminal = os.openpty()
    recorded = ("search", "--replay", str(ROOT / "benchmarks" / "data" / "conv_milo-A4000.csv.gz"), "--budget", "2000")
    # Makes the process the leader of a session whose terminal is its standard input.
    command = ["setsid", "--ctty", sys.executable, "-m", "evotune", *recorded]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        wait_for_trials(tmp_path / "evotune.db", 1, process)
        os.close(ours)
        assert process.wait(60) == 130
    assert ask(tmp_path / "evotune.db", "SELECT state FROM search") == [("interrupted",)]


def proposals(space: Path) -> list[tuple[object, ...]]:
    """Return the proposals of an uninterrupted search that only builds: its sampler is told no timing."""
    valid = load_space(space).enumerate(cpu_device().limits, lambda configuration: {"step_bytes": 4})
    study = Study(valid, "random", 0)
    return [(configuration_key(study.ask().configuration),) for _ in range(BUDGET)]
