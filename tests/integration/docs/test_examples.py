"""Run what the documentation shows: the commands, scripts and queries of a page, one after the other in one folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command import environment as of_checkout
from tests.support.forked import request
from tests.support.forked.process import COMMANDS, fork_server
from tests.support.forked.python import python
from tests.support.forked.request import SOCKET_VARIABLE
from tests.support.markdown import Block, blocks, documentation
from tests.support.paths import ROOT
from tests.support.recorded_search import record_search

RUN = ("console", "python", "sql")
# A command that takes a minute or more is marked `slow`; this machine may be busy.
LIMIT_SECONDS = 120
DATABASE = "evotune.db"
# Its commands and its Python are processes of their own, from the first line of Python on.
ON_ITS_OWN = "README.md"
# Commands read these folders of a clone; docs is copied, since a command draws a picture there.
READ = ("benchmarks", "kernels", "search_spaces", "tests")

pytestmark = pytest.mark.timeout(600)


def examples(page: str) -> list[Block]:
    return [block for block in blocks(page) if block.language in RUN and not block.mark]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recorded") / DATABASE
    record_search(file)
    return file


@pytest.fixture
def clone(recorded: Path, tmp_path: Path) -> Path:
    """Make a folder like a clone in which one search has been run."""
    for name in READ:
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(recorded, tmp_path / DATABASE)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in documentation() if examples(page)])
def test_every_example_of_a_page_works(page: str, clone: Path) -> None:
    for block in examples(page):
        run(block, clone)


def run(block: Block, folder: Path) -> None:
    if block.language == "sql":
        with closing(sqlite3.connect(folder / DATABASE)) as connection:
            connection.execute(block.text)
        return
    if block.language == "python":
        check(block, block.text, run_python(block, folder))
        return
    for command in [["bash", "-euo", "pipefail", "-c", each] for each in block.commands]:
        check(block, command[-1], run_alone(command, block.page, folder))


def run_python(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    if block.page == ON_ITS_OWN:
        return run_alone([sys.executable, "-c", block.text], block.page, folder)
    return python("-c", block.text, folder=folder, variables=environment(block.page, folder), imported=COMMANDS)


def run_alone(command: list[str], page: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(page, folder),
        pass_fds=[fork_server(COMMANDS).control.fileno()],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )


def check(block: Block, command: str, ran: subprocess.CompletedProcess[str]) -> None:
    assert ran.returncode == 0, f"{block.page}:{block.line}: {command}\n{ran.stdout}{ran.stderr}"


def environment(page: str, folder: Path) -> dict[str, str]:
    """Return the environment of somebody who has activated this virtual environment; idle threads leave their core.

    The `evotune` and the Python of all pages but the first are forked from a process that has imported torch and Ray.
    """
    first = [] if page == ON_ITS_OWN else [str(write_command(folder / "bin"))]
    path = os.pathsep.join((*first, str(Path(sys.executable).parent), os.environ["PATH"]))
    server = {SOCKET_VARIABLE: str(fork_server(COMMANDS).control.fileno())}
    return {**of_checkout(), **server, "PATH": path, "OMP_WAIT_POLICY": "passive"}


def write_command(folder: Path) -> Path:
    """Write an `evotune` that asks the fork server, into this folder; return the folder."""
    folder.mkdir(exist_ok=True)
    command = folder / "evotune"
    # A script that starts `evotune` may hand it no open files.
    command.write_text(
        f'#!/bin/sh\n[ -e /proc/self/fd/${SOCKET_VARIABLE} ] || exec "{sys.executable}" -m evotune "$@"\n'
        f'exec "{sys.executable}" -SE "{request.__file__}" "$@"\n'
    )
    command.chmod(0o755)
    return folder
