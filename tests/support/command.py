"""Run evotune's commands, and read its database as a script would."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from evotune.cli import run
from tests.support.forked.process import ForkedProcess, start
from tests.support.paths import IMPORT_PATH


def evotune_here(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: a new one takes two or three seconds to import torch and Ray."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def evotune(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, forked from one that has imported torch and Ray."""
    with evotune_started(*arguments, folder=folder) as process:
        out, err = process.communicate(timeout=240)
    return subprocess.CompletedProcess(arguments, process.wait(), out, err)


def evotune_started(
    *arguments: str,
    folder: Path,
    log: Path | None = None,
    merged: bool = False,
    namespaces: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> ForkedProcess:
    """Start the same, with these variables beside this process's; see `start`."""
    own = {**environment(), **(variables or {})}
    return start("evotune", *arguments, folder=folder, variables=own, log=log, merged=merged, namespaces=namespaces)


def environment() -> dict[str, str]:
    """Return this process's environment, in which every process imports this checkout."""
    return {**os.environ, "PYTHONPATH": IMPORT_PATH}


def sqlite(database: Path, query: str) -> list[list[str]]:
    """Ask as a script would, with the sqlite3 client."""
    client = shutil.which("sqlite3")
    if client is None:
        assert not os.environ.get("CI"), "CI installs the sqlite3 client"
        pytest.skip("needs the sqlite3 client (apt-get install sqlite3)")
    ran = subprocess.run([client, str(database), query], capture_output=True, text=True, check=True)
    return [line.split("|") for line in ran.stdout.splitlines()]
