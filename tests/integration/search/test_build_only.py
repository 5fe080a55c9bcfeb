"""Searches that only build, through the command line: real nvcc, real Ray, real SQLite, and no GPU."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from evotune_db import Database
from tests.support.command import evotune_here, sqlite
from tests.support.nvcc_needed import nvcc_or_skip
from tests.support.paths import SAXPY

SPACE = """
kernel: saxpy
variant: sm80
parameters:
  unroll: [1, 2, 4, 8]
  threads: [64, 128]
  fault: {values: [none, compile_error], kind: categorical}
constraints:
  - unroll == 4 or fault == "none"
  - threads <= device.threads_per_block
"""
BUILD = ("search", str(SAXPY), "--space", "sm80.yaml", "--target", "sm_89", "--build-only")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the whole space in two runs in a folder, the second going on with the first."""
    nvcc_or_skip()
    folder = tmp_path_factory.mktemp("build_only")
    (folder / "sm80.yaml").write_text(SPACE)
    first = evotune_here(*BUILD, "--budget", "3", folder=folder)
    assert first.returncode == 0, first.stderr
    (folder / "first.txt").write_text(first.stdout)
    second = evotune_here("search", "--resume", "1", "--budget", "10", "--json", folder=folder)
    assert second.returncode == 0, second.stderr
    (folder / "second.json").write_text(second.stdout)
    return folder


def test_every_configuration_is_built_once_and_a_failure_is_recorded(built: Path) -> None:
    rows = sqlite(
        built / "evotune.db",
        "SELECT json_extract(configuration, '$.fault'), state, failed_gate, count(*) FROM trial GROUP BY 1, 2, 3",
    )
    assert rows == [["compile_error", "failed", "build", "2"], ["none", "built", "", "8"]]


def test_the_resource_columns_are_filled(built: Path) -> None:
    rows = sqlite(
        built / "evotune.db",
        "SELECT registers, spill_stores, spill_loads, stack_bytes, shared_bytes, target FROM trial"
        " JOIN build ON build.id = build_id WHERE state = 'built'",
    )
    assert len(rows) == 8
    for registers, *others in rows:
        assert 0 < int(registers) <= 255 and others == ["0", "0", "0", "0", "sm_89"]


def test_nothing_is_measured_and_nothing_stands_on_the_leaderboard(built: Path) -> None:
    counts = "SELECT (SELECT count(*) FROM timing), (SELECT count(*) FROM leaderboard), (SELECT count(*) FROM device)"
    assert sqlite(built / "evotune.db", counts) == [["0", "0", "0"]]
    assert "no trial on the leaderboard fits" in evotune_here("leaderboard", "--search", "1", folder=built).stdout


def test_the_summary_has_failures_by_reason_and_the_spread_of_each_figure(built: Path) -> None:
    text = (built / "first.txt").read_text()
    assert "search 1: 3 configurations to build; saxpy (small) for sm_89, limits of NVIDIA L4" in text
    assert re.search(r"search 1 finished after .*: [123] of 3 built", text)
    assert re.search(r"^  registers +\d+ +\d+ +\d+ +\d+$", text, re.MULTILINE)
    result = json.loads((built / "second.json").read_text())
    assert (result["built"], result["passed"], result["best"]) == (10, 0, None)
    builds = result["builds"]
    assert (builds["built"], builds["without_spills"], sum(builds["failures"].values())) == (8, 8, 2)
    assert set(builds["spreads"]) == {
        *("registers", "spill_stores", "spill_loads", "stack_bytes", "shared_bytes", "seconds")
    }
    assert "asked not to compile" in next(iter(builds["failures"]))


def test_the_command_that_it_ends_with_shows_all_builds(built: Path) -> None:
    [command] = re.findall(r"^see all: +(.*)$", (built / "first.txt").read_text(), re.MULTILINE)
    shown = subprocess.run(command, shell=True, cwd=built, capture_output=True, text=True, check=True).stdout
    assert len(shown.splitlines()) == 2 + 10 and "registers" in shown.splitlines()[0]


def test_a_built_trial_is_shown_with_its_log(built: Path) -> None:
    with Database.open(str(built / "evotune.db")) as database:
        trial = next(trial.id for trial in database.load_search(1).trials if trial.state == "built")
    shown = evotune_here("show", str(trial), folder=built)
    assert f"trial {trial}: built" in shown.stdout and "ptxas info" in shown.stdout
