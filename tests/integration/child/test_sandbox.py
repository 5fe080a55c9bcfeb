"""The killable child and its spare."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from evotune_workers.child.messages import Load, Start
from evotune_workers.child.sandbox import ChildBroke, Sandbox
from tests.support.paths import SAXPY


def children() -> set[int]:
    """Process ids of this process's measuring children that run."""
    running = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
    return {each.pid for each in running if "evotune_workers.child.main" in " ".join(each.cmdline())}


@pytest.mark.parametrize("spare", [False, True])
def test_a_child_that_is_gone_is_replaced_and_closing_leaves_none(spare: bool) -> None:
    before = children()
    sandbox = Sandbox(Start(SAXPY, "cpu"), {}, spare=spare)
    early = children() - before
    assert len(early) == spare
    sandbox.ask(Load({}), 60)
    first = children() - before
    assert len(first) == 1 + spare and early <= first
    sandbox.renew()
    sandbox.ask(Load({}), 60)
    second = children() - before
    assert len(second) == 1 + spare and len(first & second) == spare
    sandbox.close()
    assert children() - before == set()
    with pytest.raises(ChildBroke, match="was closed"):
        sandbox.ask(Load({}), 60)


def test_a_spare_that_died_unused_is_not_used() -> None:
    before = children()
    sandbox = Sandbox(Start(SAXPY, "cpu"), {}, spare=True)
    sandbox.ask(Load({}), 60)
    [spare] = sorted(children() - before, key=lambda pid: psutil.Process(pid).create_time())[1:]
    os.killpg(spare, signal.SIGKILL)
    sandbox.renew()
    assert sandbox.ask(Load({}), 60) is None
    sandbox.close()
    assert children() - before == set()
