"""The checks of `evotune doctor` on this machine, and its text for machines that lack things."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from evotune.cli import run
from evotune.display.checks import print_checks
from evotune.display.terminal import console
from evotune.doctor import probes
from evotune.doctor.checks import Check, cpu_target_works, examine
from evotune_workers.compilers import cuda_toolkit


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave nothing that leads to a compiler but PATH, where there is none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable in cuda_toolkit.FOLDER_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(cuda_toolkit, "USUAL_FOLDER", tmp_path / "nowhere")
    monkeypatch.setattr(cuda_toolkit, "PACKAGE", "evotune-test-nvcc")


def test_every_lack_has_a_remedy_and_everything_that_a_gpu_target_needs_is_looked_for() -> None:
    checks = examine("./evotune.db")
    for check in checks:
        assert check.found
        assert (check.remedy is None) == check.present
    assert {check.name: check.needed_for for check in checks if check.needed_for.startswith("gpu")} == {
        "CUDA compiler": "gpu build",
        "GPU": "gpu",
        "PyTorch with CUDA": "gpu",
        "cuda-core": "gpu",
        "nvidia-ml-py": "gpu",
    }


def test_a_machine_without_a_compiler_is_told_what_to_install(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["doctor", "--format", "json", "--db", str(tmp_path / "x.db")]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["C++ compiler"]["found"] == "g++ is not on PATH"
    assert "apt install g++" in checks["C++ compiler"]["remedy"]
    assert not (tmp_path / "x.db").exists()


def test_a_machine_without_nvcc_is_told_where_to_get_one() -> None:
    check = cuda_compiler()
    assert not check.present and check.found.startswith("CUDA targets need nvcc, got none in PATH")
    assert check.remedy is not None and "pip install 'evotune[cuda]'" in check.remedy
    assert check.remedy not in check.found


def test_an_nvcc_that_compiles_nothing_is_a_lack(tmp_path: Path) -> None:
    (tmp_path / "nvcc").write_text("#!/bin/sh\necho gcc: No such file or directory\nexit 1\n")
    (tmp_path / "nvcc").chmod(0o755)
    check = cuda_compiler()
    assert not check.present
    expected = f"{tmp_path}/nvcc must compile an empty kernel for sm_80, got 'gcc: No such file or directory'"
    assert check.found == expected


def cuda_compiler() -> Check:
    (check,) = [check for check in examine("./evotune.db") if check.name == "CUDA compiler"]
    return check


def test_the_cpu_target_does_not_need_what_only_a_gpu_does() -> None:
    def check(needed_for: str, present: bool) -> Check:
        return Check("thing", present, "found", needed_for, None, "run")

    assert cpu_target_works([check("all", True), check("cpu", True), check("gpu", False)])
    assert not cpu_target_works([check("all", False), check("gpu", True)])


def test_what_compiling_for_a_gpu_needs_is_told_from_what_measuring_on_one_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def check(needed_for: str, present: bool) -> Check:
        return Check("thing", present, "found", needed_for, None if present else "get it", "run")

    print_checks([check("all", True), check("gpu build", True), check("gpu", False)], console(sys.stdout))
    assert "GPU targets: cannot work yet; compiling for them with --build-only can work." in capsys.readouterr().out
    print_checks([check("all", True), check("gpu build", False), check("gpu", True)], console(sys.stdout))
    assert "GPU targets: cannot work yet; compiling for them with --build-only cannot" in capsys.readouterr().out


def test_a_database_that_cannot_be_used_is_a_lack(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database, but long enough to be looked at as one\n" * 40)
    (database,) = [check for check in examine(str(tmp_path / "notes.db")) if check.name == "database"]
    assert not database.present and "\n" not in database.found
    for url in (str(tmp_path / "missing" / "x.db"), "nonsense://host/x"):
        with pytest.raises(probes.Missing) as missing:
            probes.database(url)
        assert "\n" not in str(missing.value)
