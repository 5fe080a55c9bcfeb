"""`evotune search` at the command line: what is asked of the engine, and what is told of what it came to."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from evotune import database_url, errors
from evotune.cli import run
from evotune.display.summary import as_text
from evotune.planning.request import SearchRequest
from evotune.search.reporter import Reporter
from evotune.search.result import Failure, SearchResult
from evotune_db import Database
from evotune_db.records import LeaderboardEntry, SearchState
from tests.support.db.examples import LEADERBOARD_KEYS, SEARCH
from tests.support.db.examples import LISTED as BEST

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def searched(own_folder: None, monkeypatch: pytest.MonkeyPatch) -> list[SearchRequest]:
    """Stand in for the engine, which takes minutes and has its own tests: end as the sampler's name says."""
    requests: list[SearchRequest] = []

    def run_search(request: SearchRequest, reporter: Reporter) -> SearchResult:
        requests.append(request)
        reporter.note("under way")
        if request.sampler == "interrupted":
            return result(request, "interrupted", None)
        if request.sampler == "refused":
            raise errors.UserError("the sampler must be known,\n got refused")
        return result(request, "finished", None if request.sampler == "hopeless" else BEST)

    module = ModuleType("evotune.search.run")
    module.__dict__["run_search"] = run_search
    monkeypatch.setitem(sys.modules, "evotune.search.run", module)
    return requests


def result(request: SearchRequest, state: SearchState, best: LeaderboardEntry | None) -> SearchResult:
    failures = (Failure("build", 4, "no such header"), Failure("numerics", 9, "max error 0.5"))
    failed = {"build": 1, "numerics": 1}
    return SearchResult(3, state, 10, 8 if best else 0, failed, best, 12.0, request.db, failures=failures)


def test_a_search_without_options_asks_for_the_documented_defaults(searched: list[SearchRequest]) -> None:
    assert run(["search"]) == 0
    assert searched == [
        SearchRequest("./evotune.db", "attention_fwd", None, "auto", (), 200, None, None, 0, None, None)
    ]


def test_every_option_of_a_search_reaches_the_request(searched: list[SearchRequest]) -> None:
    line = (
        "search ./mine --space narrow.yaml --target cpu --workload a --workload b --budget 7 --time-limit 60"
        " --sampler tpe --seed 5 --db other.db --ray-address auto --gpus 3 --build-only"
    )
    assert run(line.split()) == 0
    assert searched == [
        SearchRequest("other.db", "./mine", "narrow.yaml", "cpu", ("a", "b"), 7, 60.0, "tpe", 5, "auto", 3, None, True)
    ]


def test_a_resumed_search_keeps_its_own_budget_and_kernel(searched: list[SearchRequest]) -> None:
    with Database.open(database_url.DEFAULT) as database:
        stored = database.start_search(SEARCH)
    assert run(["search", "--resume", str(stored)]) == 0
    assert (searched[0].resume, searched[0].budget, searched[0].kernel) == (stored, None, None)


def test_the_database_of_the_environment_is_used(
    searched: list[SearchRequest], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(database_url.VARIABLE, "elsewhere.db")
    assert run(["search"]) == 0
    assert searched[0].db == "elsewhere.db"
    assert "--db" not in capsys.readouterr().out


@pytest.mark.usefixtures("searched")
def test_a_search_ends_with_its_winner_and_the_commands_that_follow(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "--db", "my runs.db"]) == 0
    output = capsys.readouterr().out
    assert "8 passed, 2 failed (build 1, numerics 1)" in output
    assert "  build: trial 4, no such header\n  numerics: trial 9, max error 0.5\nwinner: trial 17" in output
    assert "2.00x [1.90, 2.10] over sdpa: 2.00 ms against 4.00 ms, confirmed" in output
    assert "evotune show 17 --db 'my runs.db'" in output
    assert "evotune export --trial 17 --out attention_fwd-17 --db 'my runs.db'" in output


def test_a_winner_that_was_not_confirmed_comes_with_the_command_that_confirms_it() -> None:
    request = SearchRequest("./evotune.db", kernel="./mine")
    found = result(request, "finished", replace(BEST, confirmed=False))
    assert "\nconfirm it: evotune search ./mine --resume 3\n" in as_text(found, request)
    assert "confirm it" not in as_text(result(request, "finished", BEST), request)


@pytest.mark.usefixtures("searched")
def test_an_interrupted_search_tells_how_to_go_on_and_exits_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "./mine", "--sampler", "interrupted"]) == 130
    assert "evotune search ./mine --resume 3" in capsys.readouterr().out


@pytest.mark.usefixtures("searched")
def test_a_search_that_its_time_limit_ended_is_no_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "--sampler", "interrupted", "--time-limit", "10"]) == 1
    assert "evotune search --resume 3" in capsys.readouterr().out


@pytest.mark.usefixtures("searched")
def test_a_search_in_which_nothing_passed_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "--sampler", "hopeless"]) == 1
    assert "winner: none" in capsys.readouterr().out


@pytest.mark.usefixtures("searched")
def test_a_search_as_json_leaves_standard_output_to_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "--json", "--db", "postgresql://me:secret@host/x"]) == 0
    output = capsys.readouterr()
    parsed = json.loads(output.out)
    assert list(parsed["best"]) == LEADERBOARD_KEYS
    assert parsed["db"] == "postgresql://me:***@host/x"
    assert output.err == "under way\n"


@pytest.mark.usefixtures("searched")
def test_what_the_engine_refuses_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "--sampler", "refused"]) == 2
    assert capsys.readouterr().err.endswith("error: the sampler must be known, got refused\n")
