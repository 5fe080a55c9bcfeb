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
from tests.support.markdown import Block, blocks, documentation
from tests.support.paths import ROOT
from tests.support.recorded_search import record_search

RUN = ("console", "python", "sql")
# A command that takes a minute or more is marked `slow`; this machine may be busy.
LIMIT_SECONDS = 120
DATABASE = "evotune.db"
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
    commands = [["bash", "-euo", "pipefail", "-c", each] for each in block.commands]
    for command in commands if block.language == "console" else [[sys.executable, "-c", block.text]]:
        ran = subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=LIMIT_SECONDS
        )
        assert ran.returncode == 0, f"{block.page}:{block.line}: {command[-1]}\n{ran.stdout}{ran.stderr}"


def environment() -> dict[str, str]:
    """Return the environment of somebody who has activated this virtual environment; idle threads leave their core."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**of_checkout(), "PATH": path, "OMP_WAIT_POLICY": "passive"}
