"""A whole search through the command line: real compiler, real Ray, real SQLite."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from evotune.cli import run
from tests.support.command import evotune, evotune_here, sqlite
from tests.support.paths import SAXPY

pytestmark = pytest.mark.quiet

FAULTY_SPACE = """
kernel: saxpy
variant: cpu
parameters:
  unroll: [4, 8]
  threads: [1]
  fault: {values: [none, segfault, hang, wrong, compile_error], kind: categorical}
constraints:
  - unroll == 4 or fault == "none"
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Search a space with faulty configurations in a folder."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "space.yaml").write_text(FAULTY_SPACE)
    ran = evotune(
        "search", str(SAXPY), "--space", "space.yaml", "--budget", "6", "--sampler", "random", "--json", folder=folder
    )
    assert ran.returncode == 0, ran.stderr
    (folder / "result.json").write_text(ran.stdout)
    return folder


@dataclass(frozen=True)
class Command:
    """Run commands beside the search's database, in this process: a new one would import torch again."""

    captured: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Ran:
        code = run(list(arguments))
        printed = self.captured.readouterr()
        return Ran(code, printed.out, printed.err)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def command(searched: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(searched)
    return Command(capsys)


def test_a_search_goes_on_past_crashes_hangs_and_compiler_errors(searched: Path) -> None:
    rows = sqlite(
        searched / "evotune.db",
        "SELECT json_extract(configuration, '$.fault'), state, failed_gate FROM trial ORDER BY 1",
    )
    outcomes = {fault: (state, gate) for fault, state, gate in rows}
    assert len(rows) == 6
    assert outcomes == {
        "none": ("passed", ""),
        "segfault": ("failed", "launch"),
        "hang": ("failed", "launch"),
        "wrong": ("failed", "numerics"),
        "compile_error": ("failed", "build"),
    }


def test_only_what_passed_stands_on_the_leaderboard_and_the_best_is_confirmed(searched: Path, command: Command) -> None:
    rows = sqlite(
        searched / "evotune.db",
        "SELECT trial.state, leaderboard.confirmed FROM leaderboard JOIN trial ON trial.id = leaderboard.trial_id",
    )
    assert len(rows) == 2 and {state for state, _ in rows} == {"passed"}
    assert sum(confirmed == "1" for _, confirmed in rows) == len(rows)
    entries = json.loads(command("leaderboard", "--format", "json").out)
    assert [entry["rank"] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[0]["confirmed"] and entries[0]["kernel"] == "saxpy" and entries[0]["workload"] == "small"


def test_the_result_names_the_winner_and_what_failed_where(searched: Path) -> None:
    result = json.loads((searched / "result.json").read_text())
    assert (result["built"], result["passed"]) == (6, 2)
    assert result["failed_by_gate"] == {"launch": 2, "numerics": 1, "build": 1}
    # SQLite takes the other columns from the row that has the least id.
    first = "SELECT failed_gate, min(id), reason FROM trial WHERE state = 'failed' GROUP BY 1 ORDER BY 2"
    told = [[each["gate"], str(each["trial"]), each["reason"]] for each in result["failures"]]
    assert told == sqlite(searched / "evotune.db", first)
    assert result["best"]["confirmed"]


def test_the_record_holds_seeds_errors_and_raw_samples(searched: Path) -> None:
    database = searched / "evotune.db"
    numerics = "SELECT count(*), count(DISTINCT seed) FROM gate_result WHERE gate = 'numerics' AND passed"
    [[checks, seeds]] = sqlite(database, numerics)
    assert int(checks) >= 2 * 3 * 2 and int(seeds) == 6
    # Blocks that met other work are dropped and counted; what is kept is there raw.
    measured = "min(json_array_length(samples, '$.candidate') + dropped_blocks)"
    assert int(sqlite(database, f"SELECT {measured} FROM timing WHERE NOT censored")[0][0]) >= 10


def test_the_search_is_shown_with_its_best_and_what_it_has_learnt(command: Command) -> None:
    shown = command("show", "--search", "1", "--format", "json")
    assert shown.code == 0, shown.err
    insight = json.loads(shown.out)["insight"]
    # A busy machine may leave one more without a timing.
    assert insight["trials"] == 6 and insight["failed"] >= 4
    faults = {one["parameter"]: one for one in insight["parameters"]}["fault"]["values"]
    failed = {value["value"]: value["failed"] for value in faults if value["value"] != "none"}
    assert failed == {"segfault": 1, "hang": 1, "wrong": 1, "compile_error": 1}
    assert "time / baseline" in command("show", "--search", "1").out


def test_trials_are_compared_with_each_other_and_with_the_baseline(searched: Path, command: Command) -> None:
    query = "SELECT id FROM trial WHERE state = 'passed' ORDER BY id LIMIT 2"
    [[one], [other]] = sqlite(searched / "evotune.db", query)
    for arguments, opponents in (([one, other], {f"trial {other}"}), ([one], {"torch_add", "two_steps"})):
        ran = command("compare", *arguments, "--format", "json")
        assert ran.code == 0, ran.err
        found = json.loads(ran.out)
        assert (found["first"], found["workload"]) == (f"trial {one}", "small") and found["second"] in opponents
        assert found["speedup_low"] <= found["speedup"] <= found["speedup_high"]
        assert found["verdict"] in ("faster", "slower", "no difference seen")
        assert found["first_us"] > 0 and found["second_us"] > 0


def test_a_failed_trial_is_not_compared(searched: Path, command: Command) -> None:
    [[failed]] = sqlite(searched / "evotune.db", "SELECT min(id) FROM trial WHERE state = 'failed'")
    ran = command("compare", failed)
    assert ran.code == 2 and ran.err.count("\n") == 1
    assert f"trial {failed} (failed) is not on the leaderboard" in ran.err


def test_another_search_takes_over_what_was_measured_and_confirms_its_best_itself(
    searched: Path, command: Command, tmp_path: Path
) -> None:
    database = Path(shutil.copy(searched / "evotune.db", tmp_path))
    at = ("--db", str(database))
    (tmp_path / "space.yaml").write_text(
        FAULTY_SPACE.replace("4, 8", "2, 4, 8").replace("segfault, hang, wrong, compile_error", "wrong")
    )
    arguments = ("search", str(SAXPY), "--space", "space.yaml", "--sampler", "qmc", "--budget", "4", "--json")
    ran = evotune_here(*arguments, folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["reused"] + result["built"] == 4
    # A trial whose timing stopped early is measured again until the best is known.
    reused = sqlite(database, "SELECT reused_from, state, failed_gate, id FROM trial WHERE reused_from IS NOT NULL")
    assert 2 <= len(reused) == result["reused"] and ["failed", "numerics"] in [row[1:3] for row in reused]
    assert sqlite(database, "SELECT count(*) FROM timing JOIN trial ON trial.id = trial_id WHERE reused_from > 0") == [
        ["0"]
    ]
    entries = json.loads(command("leaderboard", *at, "--format", "json").out)
    assert len({entry["trial"] for entry in entries}) == len(entries)
    assert not {entry["trial"] for entry in entries} & {int(row[3]) for row in reused}
    own = json.loads(command("leaderboard", *at, "--search", "2", "--format", "json").out)
    assert own[0]["trial"] == result["best"]["trial"] and own[0]["confirmed"]
    passed = [row[0] for row in reused if row[1] == "passed"]
    confirmed = "SELECT count(*) FROM timing WHERE phase = 'confirm' AND mode = 'cold' AND trial_id = "
    assert any(int(sqlite(database, confirmed + origin)[0][0]) == 2 for origin in passed), "in either search"
    shown = command("show", reused[0][3], *at).out
    assert f"trial {reused[0][0]}, with its gates and timings" in shown


def test_a_search_that_refuses_reuse_measures_everything_itself(searched: Path, tmp_path: Path) -> None:
    database = Path(shutil.copy(searched / "evotune.db", tmp_path))
    # Was measured before, and what is wrong is taken over whatever the best is.
    (tmp_path / "space.yaml").write_text(
        FAULTY_SPACE.replace("4, 8", "4").replace("none, segfault, hang, wrong, compile_error", "wrong")
    )
    arguments = ("search", str(SAXPY), "--space", "space.yaml", "--sampler", "random", "--budget", "1", "--json")
    ran = evotune_here(*arguments, "--no-reuse", folder=tmp_path)
    assert ran.returncode == 1, ran.stderr
    result = json.loads(ran.stdout)
    assert (result["reused"], result["built"]) == (0, 1)
    mine = "FROM trial WHERE search_id = 2"
    assert sqlite(database, f"SELECT count(*), count(same_binary_as), count(reused_from) {mine}") == [["1", "0", "0"]]
    known = f"SELECT count(*) {mine} AND configuration_key IN (SELECT configuration_key FROM trial WHERE search_id = 1)"
    assert sqlite(database, known) == [["1"]]
