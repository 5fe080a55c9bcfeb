"""Where nvcc is looked for, in which order, and what a machine without one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from evotune_workers.compilers import cuda_toolkit
from evotune_workers.compilers.build import ToolchainError
from evotune_workers.compilers.cuda_toolkit import Toolkit, find_nvcc, options_of_environment


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No toolkit anywhere; a package of the environment that runs the tests is under a name that nobody looks for."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    for variable in (*cuda_toolkit.FOLDER_VARIABLES, *cuda_toolkit.OPTION_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(cuda_toolkit, "USUAL_FOLDER", tmp_path / "usual")
    monkeypatch.setattr(cuda_toolkit, "PACKAGE", "evotune-test-nvcc")


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def install_package(folder: Path) -> Path:
    """Write the files that pip installs of NVIDIA's package, and its record of them."""
    nvcc = program(folder / "nvidia" / "cu13" / "bin" / "nvcc")
    notes = folder / "evotune_test_nvcc-13.0.88.dist-info"
    notes.mkdir()
    (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: evotune-test-nvcc\nVersion: 13.0.88\n")
    (notes / "RECORD").write_text("nvidia/cu13/bin/nvcc.profile,,\nnvidia/cu13/bin/nvcc,,\n")
    return nvcc


def test_the_order_is_path_variables_usual_folder_and_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "site").mkdir()
    package = install_package(tmp_path / "site")
    assert find_nvcc() == Toolkit(package, "the package evotune-test-nvcc")
    usual = program(tmp_path / "usual" / "bin" / "nvcc")
    assert find_nvcc() == Toolkit(usual, str(tmp_path / "usual"))
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        named = program(tmp_path / variable / "bin" / "nvcc")
        monkeypatch.setenv(variable, str(tmp_path / variable))
        assert find_nvcc() == Toolkit(named, variable)
    first = program(tmp_path / "first" / "nvcc")
    monkeypatch.setenv("PATH", f"{tmp_path / 'empty'}:{tmp_path / 'first'}")
    assert find_nvcc() == Toolkit(first, "PATH")


def test_a_file_that_cannot_be_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "broken" / "bin" / "nvcc", mode=0o644)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "broken"))
    usual = program(tmp_path / "usual" / "bin" / "nvcc")
    assert find_nvcc().nvcc == usual


def test_a_machine_without_nvcc_is_told_where_it_was_looked_for_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        find_nvcc()
    told = str(caught.value)
    assert "\n" not in told
    assert f"none in PATH, CUDA_HOME, CUDA_PATH, {tmp_path / 'usual'} or the package evotune-test-nvcc" in told
    assert "pip install 'evotune[cuda]'" in told


def test_options_that_nvcc_takes_from_the_environment_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert options_of_environment() == ""
    monkeypatch.setenv("NVCC_APPEND_FLAGS", "-maxrregcount=32")
    assert options_of_environment() == " NVCC_APPEND_FLAGS=-maxrregcount=32"


def test_a_program_called_nvcc_that_is_none_is_refused(tmp_path: Path) -> None:
    other = Toolkit(program(tmp_path / "other" / "nvcc"), "PATH")
    with pytest.raises(ToolchainError, match="--version must tell release and build, got: ''"):
        cuda_toolkit.toolkit_version(other)
