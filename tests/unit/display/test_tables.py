"""Tables on a terminal of 80 columns, and what a pipe gets."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from evotune.commands.options import Format
from evotune.display import tables
from evotune_db.records import LeaderboardEntry, SearchSummary
from tests.support.db.examples import LISTED

CONFIGURATION = {f"parameter_{number}": number for number in range(20)}
ENTRY = replace(LISTED, trial=49, baseline="sdpa_cudnn", configuration=CONFIGURATION)
SEARCH = SearchSummary(
    id=1,
    kernel="attention_fwd",
    target="sm_90",
    workloads=("mission",),
    sampler="evolution",
    seed=0,
    budget=200,
    state="interrupted",
    started=datetime(2026, 11, 29, 7, 49, tzinfo=UTC),
    finished=None,
    built=160,
    passed=158,
    failed=2,
    best_trial=49,
    best_speedup=2.1,
)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What tables are printed on: 80 columns."""
    stream = io.StringIO()
    target = Console(file=stream, force_terminal=True, width=80, color_system=None, highlight=False)
    monkeypatch.setattr(tables, "console", lambda stream: target)
    return stream


def test_a_terminal_gets_the_best_configuration_and_what_others_have_in_its_place(terminal: io.StringIO) -> None:
    other = replace(ENTRY, rank=2, trial=11, configuration={**CONFIGURATION, "parameter_3": 5})
    again = replace(ENTRY, rank=3, trial=60, certified=True, tensor_active_pct=20.4, achieved_occupancy_pct=14.1)
    tables.write_leaderboard([ENTRY, other, again], "", LeaderboardEntry, Format.TABLE)
    lines = [line.rstrip() for line in terminal.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    assert "    1      49   2.00 ms   2.00x [1.90, 2.10]   4.00 ms sdpa_cudnn" in lines
    assert any(line.split() == ["11", "confirmed", "as", "49,", "but", "parameter_3=5"] for line in lines)
    words = " ".join(lines).split()
    for word in ("confirmed,", "certified", "tensor", "20.4%", "occupancy", "14.1%"):
        assert word in words
    assert all(any(f"{name}={value}" in line for line in lines) for name, value in CONFIGURATION.items())


def test_a_terminal_of_80_columns_holds_the_list_of_searches(terminal: io.StringIO) -> None:
    tables.write_searches([SEARCH], SearchSummary, Format.TABLE)
    [line] = [line for line in terminal.getvalue().splitlines() if "interrupted" in line]
    figures = ["1", "interrupted", "160/200", "2", "2.10x", "11-29", "07:49"]
    assert line.split() == [*figures, "attention_fwd"]
    assert "mission sm_90" in terminal.getvalue()


def test_a_pipe_gets_a_line_a_search(capsys: pytest.CaptureFixture[str]) -> None:
    tables.write_searches([SEARCH], SearchSummary, Format.TABLE)
    assert any("evolution" in line and "2.10x (trial 49)" in line for line in capsys.readouterr().out.splitlines())
