"""Recording a space: what is recorded is a replay's table, and a second run goes on where the first one stopped."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks import record_space
from benchmarks.recorder.rows import read_rows
from evotune.replay import load_recording
from evotune_workers.timing import protocol
from tests.support.paths import SAXPY

SPACE = """
kernel: saxpy
variant: cpu
parameters:
  unroll: [8]
  threads: [1]
  fault: {values: [none, wrong, compile_error], kind: categorical}
"""


def record(monkeypatch: pytest.MonkeyPatch, space: Path, *arguments: str) -> None:
    given = ["--kernel", str(SAXPY), "--workload", "small", "--space", str(space), *arguments]
    monkeypatch.setattr("sys.argv", ["record_space.py", *given])
    record_space.main()


def test_a_recording_goes_on_where_it_stopped_and_keeps_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, space = tmp_path / "first.jsonl", tmp_path / "second.jsonl", tmp_path / "space.yaml"
    space.write_text(SPACE)
    # How long it takes is not at issue: what runs beside this test must not keep it from a result.
    monkeypatch.setattr(protocol, "DISTURBED_SHARE", math.inf)
    record(monkeypatch, space, "--out", str(first))
    _, rows = read_rows(first)
    assert {row.configuration["fault"]: row.failed_gate for row in rows} == {
        "none": None,
        "wrong": "numerics",
        "compile_error": "build",
    }
    lines = [line for line in first.read_text().splitlines() if "compile_error" not in line]
    first.write_text("\n".join([*lines, '{"configuration": {"unro']))

    record(monkeypatch, space, "--out", str(second), "--resume-from", str(first))
    pieces, both = read_rows(second)
    assert len(pieces) == 2 and pieces[0]["space_hash"] == pieces[1]["space_hash"]
    # What the first run measured stands, time and all; the row that was lost was recorded again.
    assert both[:2] == [row for row in rows if row.failed_gate != "build"] and both[2].failed_gate == "build"

    recording = load_recording(tmp_path / "second.csv.gz")
    [passed] = [row for row in both if row.failed_gate is None]
    assert passed.ratio is not None and passed.baseline_us is not None
    assert recording.optimum == pytest.approx(passed.ratio * passed.baseline_us / 1e3, rel=1e-5)
    assert math.isnan(recording.times[recording.valid.index({"fault": "wrong"})])
    assert json.loads((tmp_path / "second.summary.json").read_text())["failed_by_gate"] == {"numerics": 1, "build": 1}

    with pytest.raises(SystemExit, match=r"first\.jsonl exists: go on with it by --resume-from"):
        record(monkeypatch, space, "--out", str(first))
    space.write_text(SPACE.replace("[8]", "[4]"))
    with pytest.raises(SystemExit, match="the same space_hash"):
        record(monkeypatch, space, "--out", str(tmp_path / "third.jsonl"), "--resume-from", str(second))
