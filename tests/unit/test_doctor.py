"""What `evotune doctor` finds on this machine, and what it says of one that lacks things."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evotune.cli import run
from evotune.doctor import Check, cpu_target_works, examine


def test_every_lack_has_a_remedy_and_nothing_present_has_one() -> None:
    for check in examine("./evotune.db"):
        assert check.found
        assert (check.remedy is None) == check.present


def test_a_machine_without_a_compiler_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["doctor", "--format", "json", "--db", str(tmp_path / "x.db")]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["C++ compiler"]["found"] == "g++ is not on PATH"
    assert "apt install g++" in checks["C++ compiler"]["remedy"]
    assert not (tmp_path / "x.db").exists()


def test_the_cpu_target_does_not_need_what_only_a_gpu_does() -> None:
    def check(needed_for: str, present: bool) -> Check:
        return Check("thing", present, "found", needed_for, None)

    assert cpu_target_works([check("all", True), check("cpu", True), check("gpu", False)])
    assert not cpu_target_works([check("all", False), check("gpu", True)])


def test_a_database_that_cannot_be_used_is_a_lack(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database, but long enough to be looked at as one\n" * 40)
    for url in (str(tmp_path / "notes.db"), str(tmp_path / "missing" / "x.db"), "nonsense://host/x"):
        (database,) = [check for check in examine(url) if check.name == "database"]
        assert not database.present and "\n" not in database.found
