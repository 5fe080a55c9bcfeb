"""The killable child and its spare."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest

from evotune_workers.child.messages import Load, Start
from evotune_workers.child.sandbox import ChildBroke, Sandbox
from tests.support.paths import SAXPY
from tests.support.running import running_named


def children() -> set[int]:
    """Process ids of this process's measuring children that run."""
    return {each.pid for each in running_named("evotune-child")}


def forked(before: set[int], count: int) -> set[int]:
    """Wait until there are that many children that were not there before: the server forks them meanwhile."""
    deadline = time.monotonic() + 30
    while len(new := children() - before) != count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(new) == count
    return new


@pytest.mark.parametrize("spare", [False, True])
def test_a_child_that_is_gone_is_replaced_and_closing_leaves_none(spare: bool) -> None:
    before = children()
    sandbox = Sandbox(Start(SAXPY, "cpu"), {}, spare=spare)
    early = forked(before, int(spare))
    sandbox.ask(Load({}), 60)
    first = forked(before, 1 + spare)
    assert early <= first
    sandbox.renew()
    sandbox.ask(Load({}), 60)
    second = forked(before, 1 + spare)
    assert len(first & second) == spare
    sandbox.close()
    assert children() - before == set()
    with pytest.raises(ChildBroke, match="was closed"):
        sandbox.ask(Load({}), 60)


def test_a_spare_that_died_unused_is_not_used() -> None:
    before = children()
    sandbox = Sandbox(Start(SAXPY, "cpu"), {}, spare=True)
    sandbox.ask(Load({}), 60)
    [spare] = sorted(forked(before, 2), key=lambda pid: psutil.Process(pid).create_time())[1:]
    os.killpg(spare, signal.SIGKILL)
    sandbox.renew()
    assert sandbox.ask(Load({}), 60) is None
    sandbox.close()
    assert children() - before == set()


def test_the_server_has_one_thread_and_one_that_was_killed_is_started_again() -> None:
    before = children()
    sandbox = Sandbox(Start(SAXPY, "cpu"), {}, spare=False)
    sandbox.ask(Load({}), 60)
    [child] = forked(before, 1)
    server = psutil.Process(child).parent()
    assert server is not None and "evotune_workers.child.fork_server" in server.cmdline()
    # A lock that another thread holds during a fork stays locked in the child.
    assert server.num_threads() == 1
    server.kill()
    assert sandbox.ask(Load({}), 60) is None, "the child that serves goes on, or a new one does"
    sandbox.renew()
    assert sandbox.ask(Load({}), 60) is None
    sandbox.close()
    assert children() - before == set()


def test_a_child_has_the_variables_of_the_process_that_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = shutil.copytree(SAXPY, tmp_path / "saxpy")
    with (kernel / "kernel.py").open("a") as source:
        source.write("\nimport os\n\nraise RuntimeError(os.environ['EVOTUNE_TEST'] + os.environ['OMP_NUM_THREADS'])\n")
    for value in ("one", "two"):
        monkeypatch.setenv("EVOTUNE_TEST", value)
        sandbox = Sandbox(Start(kernel, "cpu"), {"OMP_NUM_THREADS": "3"}, spare=False)
        with pytest.raises(ChildBroke, match=f"{value}3"):
            sandbox.ask(Load({}), 60)
        sandbox.close()
