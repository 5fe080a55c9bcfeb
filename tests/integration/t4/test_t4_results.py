"""T4 results: ours keep the published schema, others' are read, and nothing is lost on the way there and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from evotune.cli import run
from evotune.replay import load_recording
from evotune.t4.invalidity import invalidity
from evotune_db import Database
from evotune_db.records import LeaderboardFilter, OutcomeRecord
from tests.support.db.examples import SEARCH, failed, passed, timing

# The rules of results-schema.json 1.0.0, https://github.com/odgaard/TuningSchema, as Kernel Tuner carries it
# (kernel_tuner/schema/T4/1.0.0), and of metadata-schema.json beside it.
NUMBER, TEXT, OBJECT, ARRAY = ({"type": name} for name in ("number", "string", "object", "array"))
RESULT = {
    "type": "object",
    "required": ["configuration", "times", "invalidity", "correctness"],
    "properties": {
        "timestamp": TEXT,
        "configuration": OBJECT,
        "objectives": ARRAY,
        "times": {
            "type": "object",
            "properties": {
                "runtimes": ARRAY,
                **dict.fromkeys(("compilation_time", "framework", "search_algorithm", "validation"), NUMBER),
            },
        },
        "invalidity": {"enum": ["timeout", "compile", "runtime", "correctness", "constraints", "correct"]},
        "correctness": NUMBER,
        "measurements": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": TEXT, "value": {"type": ["number", "string", "array"]}, "unit": TEXT},
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "schema_version": {"type": "string", "pattern": r"^[0-9]{1,}.[0-9]{1,}.[0-9]{1,}$"},
        "results": {"type": "array", "items": RESULT},
        "metadata": {
            "type": "object",
            "properties": {"environment": {"type": "object", "properties": {"requirements": OBJECT}}},
        },
    },
}
CONFIGURATIONS = [{"tile_m": tile_m, "persistent": True} for tile_m in (16, 32, 48, 64)]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Record four trials: 2x, one that shares its binary, one that is wrong and one that does not compile."""
    monkeypatch.chdir(tmp_path)
    with Database.open("evotune.db") as record:
        search = record.start_search(SEARCH)
        trials = [
            record.add_trial(search, number, configuration, f"key {number}")
            for number, configuration in enumerate(CONFIGURATIONS)
        ]
        record.record_outcome(trials[0], passed(timing(2.0), timing(1.5, workload="long")))
        record.record_outcome(trials[1], OutcomeRecord("passed", objective=0.5, same_binary_as=trials[0]))
        record.record_outcome(trials[2], failed())
        record.record_outcome(trials[3], OutcomeRecord("failed", "build", "a build must end within 120 s, killed"))
        record.finish_search(search, "finished")
    return "evotune.db"


def test_what_is_exported_keeps_the_published_schema(database: str, tmp_path: Path) -> None:
    document = exported(tmp_path / "results.json")
    jsonschema.validate(document, SCHEMA)
    assert [result["invalidity"] for result in document["results"]] == ["correct", "correct", "correctness", "timeout"]
    assert [result["configuration"] for result in document["results"]] == CONFIGURATIONS
    assert document["metadata"]["evotune"]["workload"] == "mission"


def test_the_objective_is_the_time_of_a_call_in_milliseconds(database: str, tmp_path: Path) -> None:
    first = exported(tmp_path / "results.json")["results"][0]
    assert first["objectives"] == ["time"] and first["times"]["runtimes"] == [0.014]
    assert first["measurements"][0] == {"name": "time", "value": 0.014, "unit": "milliseconds"}
    other = exported(tmp_path / "long.json", "--workload", "long")["results"][0]
    assert other["measurements"][0]["value"] == pytest.approx(0.028 / 1.5)


def test_our_own_reader_of_others_files_reads_ours(database: str, tmp_path: Path) -> None:
    exported(tmp_path / "results.json")
    recording = load_recording(tmp_path / "results.json")
    assert len(recording.valid) == 4 and recording.optimum == 0.014 and len(recording.passing) == 2


def test_what_is_imported_is_exported_again_as_it_was(database: str, tmp_path: Path) -> None:
    before = exported(tmp_path / "before.json")["results"]
    assert run(["import", str(tmp_path / "before.json"), "--kernel", "attention_fwd", "--target", "sm_89"]) == 0
    after = exported(tmp_path / "after.json", search=2)["results"]
    for name in ("configuration", "invalidity", "correctness", "measurements", "objectives"):
        assert [result[name] for result in after] == [result[name] for result in before]


def test_imported_results_are_told_and_never_enter_the_leaderboard(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "theirs.json"
    results = [theirs(16, "correct", 0.002), theirs(32, "correct", 0.001), theirs(64, "runtime", None)]
    path.write_text(json.dumps({"schema_version": "1.0.0", "results": results}))
    assert run(["import", str(path), "--workload", "theirs"]) == 0
    assert "search 2: 3 results imported, 2 correct\nbest: 1.00 ms, block=32" in capsys.readouterr().out
    with Database.open(database) as record:
        stored = record.load_search(2)
        assert [trial.state for trial in stored.trials] == ["built", "built", "failed"]
        assert stored.record.sampler == "imported" and stored.trials[2].failed_gate == "launch"
        assert record.leaderboard(LeaderboardFilter(workload="theirs")) == []
    assert run(["show", str(stored.trials[0].id)]) == 0
    assert run(["show", "--search", "2"]) == 2
    assert "a search must have run here to be shown, this one was imported" in capsys.readouterr().err
    assert run(["search", "--resume", "2"]) == 2
    assert "a search must have run here to be resumed, search 2 was imported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be T4 results"),
        ('{"results": []}', "must have at least one result, got none"),
        ('{"results": [{"configuration": {"a": 1}, "invalidity": "fine"}]}', "must have an invalidity of correct"),
        ('{"results": [{"configuration": {"a": 1}, "invalidity": "correct"}]}', "got no measurement 'time'"),
        (json.dumps({"results": [{"configuration": {"a": 1}, "invalidity": "compile"}] * 2}), "a=1 twice"),
    ],
)
def test_what_is_no_t4_is_refused_in_one_line(
    text: str, message: str, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.json").write_text(text)
    assert run(["import", str(tmp_path / "bad.json")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    with Database.open(database) as record:
        assert len(record.searches()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name it with --search"),
        (["--search", "1", "--workload", "missoin"], "did you mean 'mission'?"),
        (["--search", "1", "--workload", "long", "--out", "evotune.db"], "must be new, got evotune.db"),
    ],
)
def test_an_export_that_cannot_be_is_refused_in_one_line(
    options: list[str], message: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [] if "--out" in options else ["--out", "new.json"]
    assert run(["export", "--format", "t4", *out, *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gate", "reason", "word"),
    [
        (None, None, "correct"),
        ("legal", None, "constraints"),
        ("build", "error: no", "compile"),
        ("launch", "crashed", "runtime"),
        ("memory", "NaN left", "correctness"),
        ("build", "a build must end within 120 s, killed", "timeout"),
        ("launch", "the process running it hung and was killed: no answer within 3 s", "timeout"),
    ],
)
def test_every_gate_has_a_word_of_t4(gate: str | None, reason: str | None, word: str) -> None:
    assert invalidity(gate, reason) == word


def exported(out: Path, *options: str, search: int = 1) -> dict[str, Any]:
    assert run(["export", "--format", "t4", "--search", str(search), "--out", str(out), *options]) == 0
    document: dict[str, Any] = json.loads(out.read_text())
    return document


def theirs(block: int, found: str, seconds: float | None) -> dict[str, Any]:
    measured = [] if seconds is None else [{"name": "time", "value": seconds, "unit": "s"}]
    return {
        "configuration": {"block": block},
        "times": {},
        "invalidity": found,
        "correctness": 1,
        "objectives": ["time"],
        "measurements": measured,
    }
