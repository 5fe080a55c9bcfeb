"""The text at the end of a search that only builds."""

from __future__ import annotations

import pytest

from evotune.display.summary import as_json, as_text, exit_code
from evotune.planning.request import SearchRequest
from evotune.search.result import BuildFigures, SearchResult, Spread
from evotune_db.records import SearchState

FIGURES = BuildFigures(
    built=36,
    without_spills=30,
    failures={"static assertion failed": 3, "must end within 120 s": 1},
    spreads={"registers": Spread(96, 128, 200, 255), "seconds": Spread(0.84, 1.26, 2.0, 4.21)},
)
REQUEST = SearchRequest(db="runs.db", target="sm_89", build_only=True)


def result(figures: BuildFigures, state: SearchState = "finished", db: str = "runs.db") -> SearchResult:
    failed = sum(figures.failures.values())
    return SearchResult(3, state, figures.built + failed, 0, {"build": failed}, None, 12.0, db, figures)


def test_it_counts_what_was_built_why_the_rest_failed_and_what_spills() -> None:
    lines = as_text(result(FIGURES), REQUEST).splitlines()
    assert lines[:4] == [
        "search 3 finished after 12 s: 36 of 40 built, 4 failed (build 4)",
        "  3 failed: static assertion failed",
        "  1 failed: must end within 120 s",
        "  30 of 36 spill no register",
    ]
    assert lines[4].split() == ["least", "median", "9", "in", "10", "most"]
    assert lines[5].split() == ["registers", "96", "128", "200", "255"]
    assert lines[6].split() == ["time", "to", "compile,", "s", "0.8", "1.3", "2.0", "4.2"]


def test_many_reasons_are_cut_to_the_most_frequent() -> None:
    many = BuildFigures(0, 0, {f"reason {number}": 10 - number for number in range(8)}, {})
    text = as_text(result(many), REQUEST)
    assert "10 failed: reason 0" in text and "reason 5" not in text and "12 failed for 3 other reasons" in text
    assert "spill" not in text.split("see one")[0]


@pytest.mark.parametrize(
    ("db", "client"),
    [
        ("my runs.db", "sqlite3 -header -column 'my runs.db' 'SELECT trial.id"),
        ("postgresql://me:secret@host/x", "psql 'postgresql://me:***@host/x' -c 'SELECT trial.id"),
    ],
)
def test_it_ends_with_the_commands_that_show_one_trial_and_all(db: str, client: str) -> None:
    text = as_text(result(FIGURES, db=db), REQUEST)
    assert "see one:    evotune show TRIAL --db " in text and client in text and "secret" not in text


def test_an_interrupted_one_tells_how_to_go_on() -> None:
    assert "go on:      evotune search --resume 3" in as_text(result(FIGURES, "interrupted"), REQUEST)


def test_something_built_is_success_and_nothing_built_is_not() -> None:
    assert exit_code(result(FIGURES), REQUEST) == 0
    assert exit_code(result(BuildFigures(0, 0, {"static assertion failed": 2}, {})), REQUEST) == 1
    assert exit_code(result(FIGURES, "interrupted"), REQUEST) == 130


def test_as_json_it_has_the_figures() -> None:
    builds = as_json(result(FIGURES))["builds"]
    assert builds["spreads"]["registers"] == {"least": 96, "median": 128, "nine_in_ten": 200, "most": 255}
    assert builds["failures"] == {"static assertion failed": 3, "must end within 120 s": 1}
