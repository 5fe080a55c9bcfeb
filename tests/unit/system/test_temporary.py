"""Temporary folders and processes end with the process that made them, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from evotune_workers.compilers.attempt import Attempt, make_build
from evotune_workers.compilers.build import BuildRequest, Resources, ToolchainError
from evotune_workers.compilers.run_compiler import run_group
from evotune_workers.kernel.folder import load_kernel
from evotune_workers.system import temporary
from evotune_workers.system.temporary import run_folder, sweep, temporary_folder
from tests.support.paths import SAXPY

MAKE_AND_WAIT = """
import sys, time
from pathlib import Path
from evotune_workers.system.temporary import temporary_folder
with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "nested").mkdir()
    (folder / "nested" / "file").write_text("content")
    print(folder, flush=True)
    time.sleep(600)
"""
COMPILE = """
import sys
from pathlib import Path
from evotune_workers.compilers.run_compiler import run_group
run_group(["/bin/sh", "-c", "sleep 601 & echo $! > pids; echo $$ >> pids; sleep 602"], Path(sys.argv[1]), 600)
"""


def start(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "did not happen within 10 s"
        time.sleep(0.02)


def test_a_folder_is_there_while_it_is_used(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder:
        (folder / "file").write_text("content")
        sweep(tmp_path)
        assert (folder / "file").exists()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_what_others_use_is_not(tmp_path: Path) -> None:
    with start(MAKE_AND_WAIT, tmp_path) as killed, start(MAKE_AND_WAIT, tmp_path) as running:
        assert killed.stdout is not None and running.stdout is not None
        left, used = Path(killed.stdout.readline().strip()), Path(running.stdout.readline().strip())
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "nested" / "file").exists()
        with temporary_folder(tmp_path) as folder:
            assert set(tmp_path.iterdir()) == {folder, used}
        running.kill()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = temporary._lock

    def swept_meanwhile(folder: Path) -> int | None:
        monkeypatch.setattr(temporary, "_lock", lock)
        sweep(tmp_path)
        return lock(folder)

    monkeypatch.setattr(temporary, "_swept", {tmp_path})
    monkeypatch.setattr(temporary, "_lock", swept_meanwhile)
    with temporary_folder(tmp_path) as folder:
        assert [*tmp_path.iterdir()] == [folder]


def test_the_folders_of_a_run_go_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv(temporary.VARIABLE, raising=False)
    with run_folder() as run:
        with start(MAKE_AND_WAIT.replace("Path(sys.argv[1])", "")) as killed:
            assert killed.stdout is not None
            assert Path(killed.stdout.readline().strip()).parent == run
            killed.kill()
        with temporary_folder() as folder:
            assert folder.parent == run
    assert temporary.VARIABLE not in os.environ and list(tmp_path.iterdir()) == []


def test_a_compiler_and_what_it_started_die_with_the_process_that_waits_for_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with start(COMPILE, tmp_path) as waiting:
        wait_until(lambda: pids.exists() and pids.read_text().count("\n") == 2)
        waiting.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(runs, map(int, pids.read_text().split()))))


def test_nothing_is_left_of_a_command_that_ended(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    ran = run_group(["/bin/sh", "-c", "sleep 603 > /dev/null 2>&1 & echo $!; exit 3"], tmp_path, 10)
    assert ran.returncode == 3
    wait_until(lambda: not runs(int(ran.output)))
    assert {child.pid for child in psutil.Process().children(recursive=True)} == before
    with pytest.raises(ToolchainError, match="must be runnable, got no-such-compiler"):
        run_group(["no-such-compiler"], tmp_path, 10)
    assert {child.pid for child in psutil.Process().children(recursive=True)} == before


@pytest.mark.parametrize("full", ["No space left on device", "Disk quota exceeded"])
def test_a_full_disk_is_no_failure_of_a_configuration(full: str) -> None:
    request = BuildRequest(SAXPY, load_kernel(SAXPY).variant("cpu"), "cpu", {})
    attempt = Attempt(f"cc1plus: error writing to /tmp/cc.s: {full}", "error writing", nothing, lasting=True)
    with pytest.raises(OSError, match=full):
        make_build(request, "key", (), "g++", lambda folder: attempt)
    failed, _ = make_build(request, "key", (), "g++", lambda folder: replace(attempt, log="error: no such type"))
    assert failed.failure == "error writing"


def test_a_compiler_says_in_english_that_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"):
        monkeypatch.setenv(variable, "de_DE.UTF-8")
    said = run_group(["/bin/sh", "-c", "echo $LC_ALL $LANGUAGE"], tmp_path, 10).output
    assert said == "C\n"


def nothing() -> tuple[Resources, bytes]:
    raise AssertionError("a failed build has nothing to read")


def runs(process: int) -> bool:
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE
