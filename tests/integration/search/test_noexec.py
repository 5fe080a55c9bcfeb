"""Folders on a file system that is mounted noexec: the machine is at fault, and no configuration is blamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evotune_workers.system.library_folders import check_library_folders
from tests.support.command import evotune_started
from tests.support.namespaces import DISK, Disk, small_disk
from tests.support.paths import SAXPY
from tests.support.record import ask
from tests.support.saxpy import SIXTEEN_BUILDS

SEARCH = ("search", str(SAXPY), "--space", "space.yaml", "--target", "cpu", "--budget", "2")


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    with small_disk("20m", "noexec") as mounted:
        yield mounted


@pytest.mark.parametrize("variable", ["TMPDIR", "EVOTUNE_CACHE"])
def test_a_search_ends_before_its_first_trial_in_one_line(disk: Disk, tmp_path: Path, variable: str) -> None:
    (tmp_path / "space.yaml").write_text(SIXTEEN_BUILDS)
    with evotune_started(*SEARCH, folder=tmp_path, namespaces=disk.files, variables={variable: str(DISK)}) as search:
        _, told = search.communicate(timeout=60)
    assert search.returncode == 2 and told.count("\n") == 1, told
    assert f"libraries must load from {DISK}, got a file system mounted noexec; set {variable} to another" in told
    assert ask(tmp_path / "evotune.db", "SELECT count(*) FROM trial") == [(0,)]


def test_usual_folders_serve() -> None:
    check_library_folders()  # raises NoLibraries otherwise
