"""Run evotune's commands, and read its database as a script would."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evotune.cli import run
from tests.support.paths import ROOT


def evotune_here(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: a new one takes two or three seconds to import torch and Ray."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def evotune(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "evotune", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )


def environment() -> dict[str, str]:
    """Return this process's environment, in which every process imports this checkout."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("", "workers", "db"))}


def sqlite(database: Path, query: str) -> list[list[str]]:
    """Ask as a script would, with the sqlite3 client."""
    client = shutil.which("sqlite3")
    if client is None:
        assert not os.environ.get("CI"), "CI installs the sqlite3 client"
        pytest.skip("needs the sqlite3 client (apt-get install sqlite3)")
    ran = subprocess.run([client, str(database), query], capture_output=True, text=True, check=True)
    return [line.split("|") for line in ran.stdout.splitlines()]
