"""A search on a disk that fills up: one line, nothing blamed or corrupted, and it goes on when there is room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import SAXPY
from .record import ask
from .test_search import environment

SPACE = """
kernel: saxpy
variant: cpu
parameters:
  unroll: [1, 2, 4, 8]
  mark_high: [0, 1, 2, 3, 4, 5]
  mark_low: [0]
  threads: [1]
  fault: {values: [none], kind: categorical}
"""
RECORDING = "\n".join(["block,time_ms", *(f"{block},{block}.5" for block in range(1, 25))])
SCRIPT = """
set -e
disk=$1 room=$2 python=$3
shift 3
mount -t tmpfs -o size=20m none "$disk"
cd "$disk"
head -c $((20 * 1024 * 1024 - room * 1024)) /dev/zero > full
"$python" -m evotune search "$@" --budget 24 && exit 50 || echo "code $?"
rm full
"$python" -m evotune search --resume 1
cp evotune.db* ..
"""
# What is searched, and how each of its trials ends.
SEARCHES = {
    "built": (str(SAXPY), "--space", "../space.yaml", "--target", "cpu", "--build-only"),
    "passed": ("--replay", "../recording.csv"),
}
# For the tables and a few trials.
ROOM_KIB = 720
# For root of the machine, and for anybody where users may have namespaces of their own.
NAMESPACES = (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount"))


def namespace_or_skip() -> tuple[str, ...]:
    """How to run a command that may mount; a machine that forbids it skips the test, CI must not."""
    for namespace in NAMESPACES:
        if not subprocess.run([*namespace, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode:
            return namespace
    assert os.environ.get("CI") != "true", "CI must be allowed to mount: CAP_SYS_ADMIN, or user namespaces"
    pytest.skip("needs the right to mount a file system")


@pytest.mark.parametrize("state", SEARCHES)
def test_a_search_on_a_full_disk_ends_in_one_line_and_goes_on_when_there_is_room(tmp_path: Path, state: str) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "recording.csv").write_text(RECORDING)
    command = [*namespace_or_skip(), "sh", "-c", SCRIPT, "sh", str(tmp_path / "disk"), str(ROOM_KIB), sys.executable]
    ran = subprocess.run([*command, *SEARCHES[state]], env=environment(), capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "code 2" in ran.stdout, ran.stdout + ran.stderr
    assert "evotune.db on a full one" in ran.stderr and "then go on: evotune search" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ask(tmp_path / "evotune.db", "PRAGMA integrity_check") == [("ok",)]
    assert ask(tmp_path / "evotune.db", "SELECT state, count(*) FROM trial GROUP BY state") == [(state, 24)]
