"""A CPU build that cannot be loaded is at fault itself, told by one kind of error."""

from __future__ import annotations

from pathlib import Path

import pytest

from evotune_workers.runtimes.cpu import CpuProgram
from evotune_workers.runtimes.runtime import LoadError


def test_a_file_that_is_no_library_and_a_library_without_the_entry_do_not_load(tmp_path: Path) -> None:
    (tmp_path / "kernel.so").write_bytes(b"no library")
    with pytest.raises(LoadError, match=r"invalid ELF header|file too short"):
        CpuProgram(tmp_path / "kernel.so", "kernel")
    with pytest.raises(LoadError, match="undefined symbol: no_such_entry"):
        CpuProgram(Path("libm.so.6"), "no_such_entry")
