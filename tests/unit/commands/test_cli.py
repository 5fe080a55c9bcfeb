"""The command line on a real database: what each command prints, and that bad input is one line and exit code 2."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evotune import database_url, errors
from evotune.cli import run
from evotune_db import Database
from evotune_db.records import (
    BuildRecord,
    DeviceRecord,
    GateRecord,
    KernelRecord,
    OutcomeRecord,
    SearchRecord,
    SpaceRecord,
    TimingRecord,
)
from tests.support.db.examples import LEADERBOARD_KEYS
from tests.support.db.new import make_sqlite
from tests.support.paths import ROOT

DEVICE = DeviceRecord("machine-1", "Test CPU [2 cores]", "cpu", {"cores": 2})
SEARCH = SearchRecord(
    kernel=KernelRecord("attention_fwd", "a" * 64),
    space=SpaceRecord("cpu", "b" * 64, "parameters: {}", 5000),
    target="cpu",
    workloads=("mission",),
    sampler="random",
    seed=0,
    budget=3,
    options={"kernel": str(ROOT / "kernels" / "attention_fwd")},
    versions={"evotune": "0.1.0"},
)
pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def recorded(own_folder: None) -> tuple[int, int, int]:
    """./evotune.db with one search of three trials: 1.5x, 2x, and one that fails with an error that is not a number."""
    make_sqlite(Path(database_url.DEFAULT))
    with Database.open(database_url.DEFAULT) as database:
        search = database.start_search(SEARCH)
        first, second, third = (
            database.add_trial(search, number, {"tile_m": tile_m, "persistent": True}, f"key {number}")
            for number, tile_m in enumerate((16, 32, 48))
        )
        database.record_outcome(first, passed(1.5))
        database.record_outcome(second, passed(2.0))
        database.record_outcome(third, failed())
        database.finish_search(search, "finished")
    return first, second, third


def passed(speedup: float) -> OutcomeRecord:
    timing = TimingRecord(
        workload="mission",
        phase="search",
        mode="cold",
        build_key=f"build of {speedup}",
        baseline="sdpa_fp32",
        median_us=4000 / speedup,
        p50_us=4000 / speedup,
        p90_us=4100 / speedup,
        p99_us=4200 / speedup,
        baseline_us=4000.0,
        speedup=speedup,
        speedup_low=speedup - 0.01,
        speedup_high=speedup + 0.01,
        blocks=12,
        dropped_blocks=1,
        censored=False,
        samples={"candidate": [[1.0]], "baseline": [[2.0]]},
        conditions={"openmp": "libgomp"},
    )
    build = BuildRecord(f"build of {speedup}", "cpu", ("-O3",), "g++ 12.2.0", 2.5, True, "note: [vectorized]", "c" * 64)
    gate = GateRecord("build", True, seconds=2.5)
    return OutcomeRecord(
        "passed", objective=1 / speedup, device=DEVICE, builds=(build,), gates=(gate,), timings=(timing,)
    )


def failed() -> OutcomeRecord:
    gate = GateRecord("numerics", False, "max error nan", "mission", "normal", 7, float("nan"), 1e-3)
    return OutcomeRecord("failed", "numerics", "max error nan", device=DEVICE, gates=(gate,))


def evotune(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evotune", *arguments], capture_output=True, text=True, env=environment()
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in (".", "workers", "db"))}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("serach", "Did you mean 'search'"),
        ("search --bugdet 3", "--budget"),
        ("search --budget 0", "'--budget': must be a whole number of at least 1, got 0"),
        ("search --budget many", "'--budget': must be a whole number, got many"),
        ("search --time-limit -1", "'--time-limit': must be a number of seconds above 0, got -1"),
        ("search --time-limit nan", "'--time-limit': must be a number of seconds above 0, got nan"),
        ("search --seed 1.5", "'--seed': must be a whole number, got 1.5"),
        ("search one two", "two"),
        ("search --resume 3 --seed 4 --space cpu", "got --space, --seed too"),
        ("search --resume 3 --warm-start", "got --warm-start too; leave --warm-start out"),
        ("search --replay x.csv --warm-start", "got --warm-start too; leave --warm-start out"),
        ("search --resume 3 --build-only", "got --build-only too; leave --build-only out"),
        ("search --resume 3 --no-reuse", "got --no-reuse too; leave --no-reuse out"),
        ("leaderboard --format tabel", "must be one of table, json, csv, got tabel; did you mean 'table'?"),
        ("show", "TRIAL"),
        ("show best", "'TRIAL': must be a whole number, got best"),
        ("export", "--out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(line: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ") and output.err.count("\n") == 1
    assert told in output.err


@pytest.mark.parametrize("line", ["leaderboard", "searches", "show 1", "export --out x", "search --resume 1"])
def test_reading_a_database_that_is_not_there_says_how_to_make_one(
    line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(line.split()) == 2
    told = capsys.readouterr().err
    assert "./evotune.db: no such file; make one with `evotune search`" in told and told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("recorded")
def test_an_unknown_trial_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "999"]) == 2
    told = capsys.readouterr().err
    assert "999" in told and told.count("\n") == 1


def test_a_file_that_is_no_database_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.txt").write_text("not a database, but long enough to be looked at as one\n" * 40)
    assert run(["searches", "--db", "notes.txt"]) == 2
    told = capsys.readouterr().err
    assert "notes.txt" in told and told.count("\n") == 1


def test_a_server_that_is_not_there_is_one_line_without_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["searches", "--db", "postgresql://user:secret@127.0.0.1:9/evotune"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "secret" not in told


def test_the_leaderboard_as_json_has_exactly_the_documented_keys(
    recorded: tuple[int, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["leaderboard", "--format", "json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [list(entry) for entry in entries] == [LEADERBOARD_KEYS] * 2
    assert [(entry["rank"], entry["trial"]) for entry in entries] == [(1, recorded[1]), (2, recorded[0])]
    assert entries[0]["configuration"] == {"tile_m": 32, "persistent": True}


@pytest.mark.usefixtures("recorded")
def test_the_leaderboard_as_csv_has_the_same_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["leaderboard", "--format", "csv", "--top", "1"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [list(row) for row in rows] == [LEADERBOARD_KEYS]
    assert json.loads(rows[0]["configuration"]) == {"tile_m": 32, "persistent": True}


@pytest.mark.usefixtures("recorded")
def test_the_leaderboard_as_a_table_keeps_a_trial_on_one_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["leaderboard"]) == 0
    output = capsys.readouterr().out
    assert "attention_fwd · mission · cpu · Test CPU [2 cores]" in output
    assert "same in all  persistent=true" in output.splitlines()
    assert any("2.00x [1.99, 2.01]" in line and line.endswith("      32") for line in output.splitlines())


@pytest.mark.usefixtures("recorded")
def test_an_empty_leaderboard_is_a_hint_as_a_table_and_an_empty_list_as_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["leaderboard", "--kernel", "atention_fwd"]) == 0
    hint = capsys.readouterr().out
    assert hint == "no search here had the kernel atention_fwd; did you mean 'attention_fwd'?\n"
    assert run(["leaderboard", "--device", "other", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["leaderboard", "--device", "other", "--format", "csv"]) == 0
    assert capsys.readouterr().out == ",".join(LEADERBOARD_KEYS) + "\n"


def test_the_leaderboard_imports_neither_torch_nor_ray_nor_optuna() -> None:
    Database.open(database_url.DEFAULT).close()
    assert_imports_none_of({"torch", "ray", "optuna"}, "leaderboard")


def test_a_replay_imports_no_torch() -> None:
    Path("recording.csv").write_text("block,time_ms\n1,2\n2,1\n")
    assert_imports_none_of({"torch"}, "search", "--replay", "recording.csv", "--budget", "2")


def assert_imports_none_of(modules: set[str], *arguments: str) -> None:
    """Assert that a command succeeds in a process of its own without importing any of these."""
    script = (
        f"import sys; from evotune.cli import run; code = run({arguments});"
        f"print(code, sorted({modules} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


@pytest.mark.usefixtures("recorded")
def test_the_searches_are_listed_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["searches"]) == 0
    assert "2 passed, 1 failed" in capsys.readouterr().out
    assert run(["searches", "--format", "json"]) == 0
    (search,) = json.loads(capsys.readouterr().out)
    assert search["workloads"] == ["mission"] and search["best_speedup"] == 2.0
    assert run(["searches", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("id,kernel,target,workloads,")


def test_show_prints_configuration_log_gates_and_timings(
    recorded: tuple[int, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", str(recorded[1])]) == 0
    output = capsys.readouterr().out
    for part in ("passed", "tile_m=32 persistent=true", "note: [vectorized]", "rank 1 in mission", "12, 1 dropped"):
        assert part in output


def test_show_tells_where_and_why_a_trial_failed(
    recorded: tuple[int, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", str(recorded[2])]) == 0
    assert f"trial {recorded[2]}: failed at the gate numerics: max error nan" in capsys.readouterr().out


def test_show_as_json_is_valid_json_whatever_the_figures(
    recorded: tuple[int, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert run(["show", str(recorded[2]), "--format", "json"]) == 0
    details = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert details["trial"]["configuration"] == {"tile_m": 48, "persistent": True}
    assert details["gates"][0]["gate"] == "numerics"


def test_an_export_without_anything_to_export_is_one_line(
    recorded: tuple[int, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "--workload", "long", "--out", "x"]) == 2
    assert "no search here had the workload long" in capsys.readouterr().err
    assert run(["export", "--trial", str(recorded[2]), "--out", "x"]) == 2
    told = capsys.readouterr().err
    assert f"trial {recorded[2]} (failed) is not on the leaderboard" in told and told.count("\n") == 1
    assert not Path("x").exists()


@pytest.mark.usefixtures("recorded")
def test_a_closed_pipe_is_left_quietly() -> None:
    command = [sys.executable, "-m", "evotune", "leaderboard", "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_the_version_and_the_help_are_printed() -> None:
    done = evotune("--version")
    assert done.returncode == 0 and done.stdout.startswith("evotune 0.")
    assert "leaderboard" in evotune().stdout and "leaderboard" in evotune("--help").stdout


@pytest.mark.parametrize(("module", "name"), errors.DOMAIN_ERRORS)
def test_every_error_that_the_edge_knows_exists(module: str, name: str) -> None:
    kind = getattr(importlib.import_module(module), name)
    assert errors.user_line(kind("the rule,\n  the value")) == "the rule, the value"


def test_a_full_disk_is_one_line_and_a_fault_of_evotune_is_not_hidden() -> None:
    told = errors.user_line(OSError(28, "No space left on device", "/data/x.db"))
    assert told is not None and told.startswith("No space left on device: /data/x.db; ")
    assert errors.user_line(KeyError("x")) is None


def test_completion_is_shown_for_the_shell_that_asks() -> None:
    # Typer looks for the shell among the parents; the second command keeps bash from replacing itself.
    asking = ["bash", "-c", f"{sys.executable} -m evotune --show-completion; exit $?"]
    shown = subprocess.run(asking, capture_output=True, text=True, env=environment())
    assert shown.returncode == 0 and "_EVOTUNE_COMPLETE" in shown.stdout, shown.stderr


@pytest.mark.parametrize(("typed", "offered"), [("evotune lea", "leaderboard"), ("evotune search --resu", "--resume")])
def test_a_shell_completes_commands_and_options(typed: str, offered: str) -> None:
    asked = {"_EVOTUNE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        [sys.executable, "-m", "evotune"], capture_output=True, text=True, env={**environment(), **asked}
    )
    assert done.stdout.split() == [offered], done.stderr
