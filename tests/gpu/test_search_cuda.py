"""The whole search on a GPU through the command line, and NVIDIA's tools on its winner."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from evotune.cli import run
from evotune_workers.kernel.device import Device

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a small search at the mission shape and return its database."""
    db = tmp_path_factory.mktemp("search") / "gpu.db"
    assert run(["search", "--budget", "16", "--db", str(db)]) == 0
    return db


def test_the_gpu_is_found_and_its_winner_confirmed(
    searched: Path, gpu: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["leaderboard", "--db", str(searched), "--format", "json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert entries[0]["confirmed"] and entries[0]["target"] == gpu.target and entries[0]["device"] == gpu.name
    assert entries[0]["baseline"].startswith("sdpa_") and entries[0]["speedup_low"] > 1


def test_finalists_met_every_sdpa_backend_cold_and_warm(searched: Path) -> None:
    with sqlite3.connect(searched) as connection:
        rows = connection.execute("SELECT mode, samples FROM timing WHERE phase = 'confirm'").fetchall()
    assert {mode for mode, _ in rows} == {"cold", "warm"}
    backends = {"sdpa_flash", "sdpa_cudnn", "sdpa_efficient", "sdpa_math"}
    assert all(backends <= set(json.loads(samples)) for _, samples in rows)


def test_the_winner_is_certified_and_its_counters_are_on_record(
    searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(searched) as connection:
        [(winner,)] = connection.execute(
            "SELECT trial_id FROM leaderboard ORDER BY confirmed DESC, speedup DESC LIMIT 1"
        )
    assert run(["certify", str(winner), "--db", str(searched)]) == 0, capsys.readouterr().out
    with sqlite3.connect(searched) as connection:
        assert connection.execute("SELECT certified FROM leaderboard WHERE trial_id = ?", (winner,)).fetchall() == [
            (1,)
        ]
        [(tensor, lanes)] = connection.execute("SELECT tensor_active_pct, warp_execution_efficiency_pct FROM profile")
    assert 0 < tensor <= 100 and 95 <= lanes <= 100
