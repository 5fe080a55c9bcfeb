"""The C++ compiler that CXX names."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evotune_workers.compilers.build import ToolchainError
from evotune_workers.compilers.cpp import compiler_command, compiler_version
from tests.support.saxpy import build


@pytest.fixture
def cxx(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set CXX, which is asked for its version once in a process."""

    def name(command: str) -> None:
        monkeypatch.setenv("CXX", command)
        compiler_version.cache_clear()

    yield name
    monkeypatch.undo()
    compiler_version.cache_clear()


def compiler() -> str:
    found = shutil.which(compiler_command()[0])
    assert found is not None
    return found


def test_a_compiler_behind_another_command_builds(cxx: Callable[[str], None], tmp_path: Path) -> None:
    """As `ccache g++` is."""
    usual, version = compiler(), compiler_version()
    cxx(f"env LC_ALL=C {usual}")
    assert compiler_version() == version
    assert build(unroll=8).builds[0].build.failure is None


def test_a_compiler_in_a_folder_with_a_space_builds(cxx: Callable[[str], None], tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "c++").symlink_to(compiler())
    cxx(str(folder / "c++"))
    assert compiler_command() == (str(folder / "c++"),)
    assert build(unroll=8).builds[0].build.failure is None


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-compiler -O1", "a C.. compiler, got none called no-such-compiler: install g.. or set CXX"),
        ("g++ '", "CXX must be the words of a command, got g\\+\\+ ': No closing quotation"),
        (" ", "CXX must be the words of a command, got ' '"),
    ],
)
def test_a_command_that_is_none_is_refused(cxx: Callable[[str], None], command: str, said: str) -> None:
    cxx(command)
    with pytest.raises(ToolchainError, match=said):
        compiler_version()
