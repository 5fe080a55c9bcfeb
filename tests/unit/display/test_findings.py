"""Certifications, profiles, diagnoses and built-only trials as `show` and `leaderboard` print them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evotune import database_url
from evotune.cli import run
from evotune_db import Database
from evotune_db.records import DiagnosisRecord
from tests.support.db.examples import (
    SEARCH,
    built,
    certification,
    check,
    diagnosis,
    failed,
    passed,
    profile,
    propose,
    record,
    timing,
)
from tests.support.db.new import make_sqlite


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """./evotune.db with a running search; what is printed has no width."""
    monkeypatch.chdir(tmp_path)
    for variable in (database_url.VARIABLE, "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)
    make_sqlite(tmp_path / database_url.DEFAULT)
    with Database.open(database_url.DEFAULT) as opened:
        opened.start_search(SEARCH)
        yield opened


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> list[str]:
    """Return the lines that a command prints, runs of blanks as one."""
    assert run(command) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_show_says_in_one_sentence_which_stage_is_at_fault_first(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = record(database, 1, 0, failed())
    database.record_diagnosis(trial, (diagnosis("scores", wrong=0), diagnosis("softmax"), diagnosis("output", wrong=1)))
    lines = printed(capsys, "show", str(trial))
    sentence = lines.index(
        "diagnosis of mission: scores right, softmax is the first stage at fault: max error 2.50e-01 where 1.00e-03 is "
        "allowed, 3 values wrong, the first at [0, 3, 48, 16]"
    )
    table = [line for line in lines[sentence:] if line]
    assert table[1] == "stage result max error allowed RMS error wrong first wrong"
    assert table[2:5] == [
        "scores right 1.00e-04 1.00e-03 1.00e-05 0 -",
        "softmax wrong 2.50e-01 1.00e-03 1.00e-05 3 [0, 3, 48, 16]",
        "output wrong 2.50e-01 1.00e-03 1.00e-05 1 [0, 3, 48, 16]",
    ]
    assert table[5:8] == ["tiles of softmax:", "..X", ".XX"]


def test_show_diagnoses_each_workload_by_itself(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    trial = record(database, 1, 0, failed())
    unread = replace(diagnosis("scores", wrong=1, workload="long"), max_error=None, first_wrong=None)
    database.record_diagnosis(trial, (diagnosis("scores", wrong=0), unread))
    lines = printed(capsys, "show", str(trial))
    assert "diagnosis of mission: every stage is right" in lines
    assert (
        "diagnosis of long: scores is the first stage at fault: max error nan where 1.00e-03 is allowed, 1 value wrong"
    ) in lines


def test_show_says_how_to_diagnose_a_wrong_result_that_was_not(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, right = record(database, 1, 0, failed()), record(database, 1, 1, passed())
    hint = f"not diagnosed; where the kernel declares stages: evotune diagnose {wrong}"
    assert hint in printed(capsys, "show", str(wrong))
    assert not any("diagnose" in line for line in printed(capsys, "show", str(right)))
    database.record_diagnosis(wrong, (diagnosis(),))
    assert hint not in printed(capsys, "show", str(wrong))


def test_only_a_trial_with_a_wrong_result_of_its_own_can_be_diagnosed(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = record(database, 1, 0, passed())
    twin = record(database, 1, 1, replace(failed(), same_binary_as=trial))
    for each, told in ((trial, "must have a wrong result"), (twin, f"evotune diagnose {trial}")):
        assert run(["diagnose", str(each)]) == 2
        line = capsys.readouterr().err
        assert told in line and len(line.splitlines()) == 1


def test_show_says_which_stage_was_not_compared_and_why(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    trial = record(database, 1, 0, failed())
    crashed = unseen("scores", "the process running it died: SIGSEGV")
    on_peaky = [
        replace(stage, distribution="peaky", seed=3) for stage in (diagnosis("softmax", 0), diagnosis("output"))
    ]
    database.record_diagnosis(trial, (replace(crashed, distribution="peaky", seed=3), *on_peaky))
    lines = printed(capsys, "show", str(trial))
    assert any(
        line.startswith("diagnosis of mission (peaky, seed 3): softmax right, scores not compared, output is the first")
        for line in lines
    )
    assert "scores not compared: the process running it died: SIGSEGV - - - - -" in lines
    hung = (unseen("scores", "hung"), unseen("output", "hung"))
    database.record_diagnosis(trial, [replace(stage, distribution="one_hot") for stage in hung])
    assert "diagnosis of mission (one_hot): scores and output not compared" in printed(capsys, "show", str(trial))


def test_show_says_that_an_output_is_wrong_by_the_rms_of_its_errors_alone(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = record(database, 1, 0, failed())
    database.record_diagnosis(trial, (replace(diagnosis("output", wrong=0), passed=False, rms_error=2e-4),))
    fault = "RMS error 2.00e-04 is too large, though no value is wrong by itself"
    assert f"diagnosis of mission: output is the first stage at fault: {fault}" in printed(capsys, "show", str(trial))


def unseen(stage: str, reason: str) -> DiagnosisRecord:
    """Return the record of a stage that could not be compared."""
    return DiagnosisRecord("mission", stage, False, None, None, None, 0, None, "", reason=reason)


def test_show_prints_every_check_and_the_logs_of_those_that_failed(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = record(database, 1, 0, passed())
    database.record_certification(trial, certification("racecheck"))
    database.record_certification(trial, certification())
    lines = printed(capsys, "show", str(trial))
    failing = "certification not passed: build build on Test L4, 2026-01-02 03:04:05; 100 runs, 0 different"
    place = lines.index(failing)
    assert lines.index(failing.replace("not passed", "passed")) > place
    assert lines[place:].index("memcheck passed 0 2.5 s 0 errors") < lines[place:].index(
        "racecheck not passed 2 2.5 s 2 errors"
    )
    assert lines.count("log of racecheck:") == 1 and "log of memcheck:" not in lines
    assert any(line.startswith("leaderboard rank 1 in mission") and line.endswith("certified") for line in lines)


def test_show_says_that_no_runs_were_compared(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    trial = record(database, 1, 0, passed())
    crashed = replace(certification(), passed=False, runs=0, checks=(replace(check("memcheck", 1), log=""),))
    database.record_certification(trial, crashed)
    lines = printed(capsys, "show", str(trial))
    assert any(line.startswith("certification not passed") and line.endswith("no runs compared") for line in lines)
    assert lines[lines.index("log of memcheck:") + 1] == "empty"


def test_show_prints_counters_and_which_could_not_be_read(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = record(database, 1, 0, passed())
    database.record_profile(trial, profile())
    database.record_profile(trial, replace(profile(None), duration_us=None, registers=None))
    lines = printed(capsys, "show", str(trial))
    assert "mission build 5.4 us 41.5% 99.5% 12.0% 33.0% 31.2% 128 Test L4 2026-01-02 03:04:05" in lines
    assert "mission build not read 41.5% 99.5% 12.0% 33.0% not read not read Test L4 2026-01-02 03:04:05" in lines


def test_show_as_json_holds_all_findings(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    trial = record(database, 1, 0, passed())
    database.record_certification(trial, certification())
    database.record_profile(trial, profile())
    database.record_diagnosis(trial, (diagnosis(),))
    assert run(["show", str(trial), "--format", "json"]) == 0
    details = json.loads(capsys.readouterr().out)
    assert [made["passed"] for made in details["certifications"]] == [True]
    assert details["certifications"][0]["checks"][1]["tool"] == "racecheck"
    assert details["certifications"][0]["made"] == "2026-01-02T03:04:05.000678+00:00"
    assert details["profiles"][0]["achieved_occupancy_pct"] == 31.25
    assert details["diagnoses"][0]["first_wrong"] == [0, 3, 48, 16]


def test_show_says_that_a_built_trial_did_not_run(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    trial = record(database, 1, 0, built())
    assert f"trial {trial}: built, not run" in printed(capsys, "show", str(trial))


def test_the_leaderboard_marks_what_is_certified_and_has_columns_for_counters_that_were_read(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    best, second = (record(database, 1, number, passed(timing(2.0 - number))) for number in (0, 1))
    assert "occupancy" not in " ".join(printed(capsys, "leaderboard"))
    database.record_certification(second, certification())
    database.record_profile(best, replace(profile(50.0), tensor_active_pct=None))
    lines = printed(capsys, "leaderboard")
    header = lines.index("rank trial median speed-up baseline proof tensor pipe occupancy tile_m")
    assert lines[header - 3 : header] == ["baseline sdpa_flash", "same in all persistent=true", ""]
    assert lines[header + 1].endswith("not confirmed - 50.0% 0")
    assert lines[header + 2].endswith("certified - - 16")
    entries = json.loads("\n".join(printed(capsys, "leaderboard", "--format", "json")))
    assert [entry["certified"] for entry in entries] == [False, True]
    assert [entry["achieved_occupancy_pct"] for entry in entries] == [50.0, None]


def test_the_searches_count_what_is_only_built(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        record(database, 1, number, built())
    record(database, 1, 2, failed())
    propose(database, 1, 3)
    (row,) = (line for line in printed(capsys, "searches") if line.startswith("1 attention_fwd"))
    assert "3/20 0 passed, 1 failed, 2 built none" in row
