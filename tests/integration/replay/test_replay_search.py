"""A search of a recorded space through the command line: the whole product, with neither a compiler nor a device."""

from __future__ import annotations

import gzip
import itertools
import json
import signal
import subprocess
from pathlib import Path

import pytest

from evotune.cli import run
from tests.support.command import evotune_here, evotune_started
from tests.support.record import ask, wait_for_trials

BLOCKS, TILES, UNROLLS = (16, 32, 48, 64, 96, 128), (1, 2, 3, 4, 6, 8, 12, 16), (1, 2, 4, 8)
# 20 parameters of 10 values.
WIDE = "\n".join(
    [",".join([*(f"p{j}" for j in range(20)), "time_ms"]), *(f"{v}," * 20 + "1" for v in range(10))]
).encode()
FAST = {"block": 64, "tile": 6, "unroll": 4}


def milliseconds(block: int, tile: int, unroll: int) -> str:
    """Faster towards tiles that fail with large blocks."""
    if block * tile > 1000:
        return ""
    return f"{1 + abs(block - 64) / 32 + abs(tile - 6) / 4 + abs(unroll - 4) / 8:.4f}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let two samplers search a recording in a folder."""
    made = tmp_path_factory.mktemp("replay")
    rows = [f"{b},{t},{u},{milliseconds(b, t, u)}" for b, t, u in itertools.product(BLOCKS, TILES, UNROLLS)]
    (made / "saxpy-X1.csv").write_text("\n".join(["block,tile,unroll,time_ms", *rows]) + "\n")
    for sampler, search in (("evolution", replay), ("random", replay_here)):
        ran = search(made, "--budget", "60", "--sampler", sampler, "--json")
        assert ran.returncode == 0, ran.stderr
        (made / f"{sampler}.json").write_text(ran.stdout)
    return made


def replay(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As on a machine with neither a compiler nor a GPU."""
    hidden = {"PATH": "", "CUDA_HOME": "", "CUDA_VISIBLE_DEVICES": ""}
    with evotune_started("search", "--replay", "saxpy-X1.csv", *arguments, folder=folder, variables=hidden) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.wait(), out, err)


def replay_here(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return evotune_here("search", "--replay", "saxpy-X1.csv", *arguments, folder=folder)


def test_a_recorded_space_is_searched_without_a_compiler_or_a_device(folder: Path) -> None:
    result = json.loads((folder / "evolution.json").read_text())
    assert (result["state"], result["built"], result["best"]) == ("finished", 60, None)
    assert result["passed"] + result["failed_by_gate"]["recorded"] == 60
    figures = result["replay"]
    assert (figures["recording"], figures["configurations"], figures["optimum_ms"]) == ("saxpy-X1", 192, 1.0)
    assert figures["best_configuration"] == FAST
    assert (figures["best_ms"], figures["percent_of_optimum"]) == (1.0, 100.0)
    assert figures["to_5_percent"] < 60


def test_what_is_recorded_says_that_it_was_not_measured_and_enters_no_leaderboard(folder: Path) -> None:
    rows = ask(folder / "evotune.db", "SELECT state, failed_gate, device_id, reason FROM trial WHERE search_id = 1")
    assert {(state, gate, device) for state, gate, device, _ in rows} == {
        ("passed", None, None),
        ("failed", "recorded", None),
    }
    assert all(str(reason).endswith(("not measured here", "not tried here")) for *_, reason in rows)
    assert ask(folder / "evotune.db", "SELECT kernel, target FROM search WHERE id = 1") == [("saxpy-X1", "recorded")]
    for table in ("timing", "gate_result", "build", "device", "leaderboard"):
        assert ask(folder / "evotune.db", f"SELECT count(*) FROM {table}") == [(0,)]
    assert "search 1 was of a recording" in evotune_here("leaderboard", "--search", "1", folder=folder).stdout
    refused = evotune_here("export", "--kernel", "saxpy-X1", "--out", "x", folder=folder)
    assert refused.returncode == 2 and "was of a recording" in refused.stderr


def test_the_lists_and_the_trial_say_recorded(folder: Path) -> None:
    listed = evotune_here("searches", folder=folder).stdout
    assert "saxpy-X1" in listed and "1.00 ms recorded" in listed
    best = json.loads((folder / "evolution.json").read_text())["replay"]["best_trial"]
    assert (
        f"trial {best}: passed: 1 ms in saxpy-X1; not measured here"
        in evotune_here("show", str(best), folder=folder).stdout
    )


def test_a_search_is_shown_with_what_it_has_learnt(folder: Path) -> None:
    shown = evotune_here("show", "--search", "2", folder=folder)
    assert shown.returncode == 0, shown.stderr
    for part in ("nothing was measured here", "best trials", "parameters, the largest effect first", "least is"):
        assert part in shown.stdout
    details = json.loads(evotune_here("show", "--search", "2", "--format", "json", folder=folder).stdout)
    parameters = {one["parameter"]: one for one in details["insight"]["parameters"]}
    assert parameters["block"]["size"] > parameters["unroll"]["size"]
    tiles = {value["value"]: value for value in parameters["tile"]["values"]}
    assert tiles[16]["failed"] > 0 and tiles[16]["standing"] in ("slower", "open")
    assert tiles[6]["effect_percent"] < 0 < tiles[16]["effect_percent"]
    assert sum(value["passed"] + value["failed"] for value in tiles.values()) == 60
    assert len(details["insight"]["pairs"]) == 3


def test_people_see_progress_the_best_and_where_to_go_on(folder: Path, tmp_path: Path) -> None:
    ran = replay_here(folder, "--budget", "30", "--db", str(tmp_path / "own.db"))
    assert ran.returncode == 0, ran.stderr
    assert (
        "search 1: 30 configurations to try with the recording; saxpy-X1, recorded and not measured here" in ran.stdout
    )
    assert "20/30 trials" in ran.stdout and "% of the optimum" in ran.stdout
    assert "nothing was built, checked or timed here" in ran.stdout
    assert f"evotune show --search 1 --db {tmp_path / 'own.db'}" in ran.stdout


def test_an_interrupted_replay_resumes_to_the_proposals_it_would_have_made(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = folder / "saxpy-X1.csv"
    with evotune_started("search", "--replay", str(path), "--budget", "120", folder=tmp_path) as process:
        wait_for_trials(tmp_path / "evotune.db", 20, process)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "go on:      evotune search --resume 1" in output
    [(done,)] = ask(tmp_path / "evotune.db", "SELECT count(*) FROM trial WHERE finished IS NOT NULL")
    assert isinstance(done, int) and 20 <= done < 120
    assert run(["search", "--resume", "1"]) == 0
    assert run(["search", "--replay", str(path), "--budget", "120", "--db", "whole.db"]) == 0
    proposals = "SELECT configuration_key FROM trial ORDER BY number"
    whole = ask(tmp_path / "whole.db", proposals)
    assert len(whole) == 120 and ask(tmp_path / "evotune.db", proposals) == whole


def test_a_recording_that_changed_is_not_gone_on_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    changed = tmp_path / "saxpy-X1.csv.gz"
    changed.write_bytes(gzip.compress((folder / "saxpy-X1.csv").read_bytes()))
    assert run(["search", "--replay", changed.name, "--budget", "10", "--sampler", "random"]) == 0
    changed.write_bytes(gzip.compress((folder / "saxpy-X1.csv").read_bytes().replace(b"16,1,1,", b"16,1,1,9")))
    assert run(["search", "--resume", "1", "--budget", "20"]) == 2
    assert "must be the one that search 1 began with" in capsys.readouterr().err
    assert run(["search", "attention_fwd", "--resume", "1"]) == 2
    assert "a search of a recording takes no KERNEL and no --ray-address" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "content", "arguments", "told"),
    [
        ("none.csv", None, [], "a recording must be a file that can be read"),
        ("bad.txt", b"", [], "a recording must end in .csv, .csv.gz, .json, .json.gz, got bad.txt"),
        ("bad.csv", b"block,tile\n1,2\n", [], "bad must have a column time_ms"),
        ("bad.csv", b"time_ms\n1\n", [], "at least one"),
        ("bad.csv", b"block,time_ms\n1,2\ntrue,3\n", [], "in bad, block must have distinct values, got 1, True"),
        ("bad.csv.gz", b"no gzip", [], "a recording must be a file that can be read"),
        ("bad.csv.gz", gzip.compress(b"block,time_ms\n1,2\n" * 99, mtime=0)[:-30], [], "a recording must be a file"),
        ("bad.csv", b"block,time_ms\n" + b"1" * 200_000 + b",1\n", [], "bad must be CSV"),
        ("wide.csv", WIDE, [], "wide must have at most 9223372036854775807 combinations of values"),
        ("bad.json", b"{", [], "bad must be T4 results"),
        ("small.csv", b"block,time_ms\n1,2\n2,3\n", [], "must be at most the number of valid configurations (2)"),
        ("small.csv", b"block,time_ms\n1,2\n2,3\n", ["--sampler", "evolutoin"], "did you mean 'evolution'"),
        ("small.csv", b"block,time_ms\n1,2\n2,3\n", ["--target", "cpu"], "--replay builds and measures nothing"),
        ("small.csv", b"block,time_ms\n1,2\n2,3\n", ["--resume", "1"], "got --replay too"),
    ],
)
def test_what_cannot_be_replayed_is_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    content: bytes | None,
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(file).write_bytes(content)
    assert run(["search", "--replay", file, *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert told in printed.err


def test_t4_results_are_searched_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results = [
        {
            "configuration": {"block": block, "tile": tile},
            "invalidity": "correct" if block * tile < 500 else "compile",
            "measurements": [{"name": "time", "value": block / tile, "unit": "ms"}],
            "objectives": ["time"],
        }
        for block, tile in itertools.product((16, 32, 64), (1, 2, 4, 8, 16))
    ]
    (tmp_path / "kernel.json").write_text(json.dumps({"results": results}))
    assert run(["search", "--replay", "kernel.json", "--budget", "15"]) == 0
    told = capsys.readouterr().out
    assert "best: trial" in told and "100.0 % of the optimum" in told
