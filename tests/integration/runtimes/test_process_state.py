"""The state of a process is the same when nothing happened, and names what did."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from evotune_workers.runtimes.process_state.process import process_state
from evotune_workers.runtimes.process_state.state import ABSENT, Change, State, changes
from evotune_workers.runtimes.process_state.watch import StateWatch


def found(before: State) -> dict[str, Change]:
    return {change.name: change for change in changes(before, process_state())}


def test_nothing_has_changed_when_nothing_happened() -> None:
    process_state()
    assert found(process_state()) == {}


@contextmanager
def thread() -> Iterator[None]:
    """Run a thread meanwhile."""
    end = threading.Event()
    running = threading.Thread(target=end.wait)
    running.start()
    yield
    end.set()
    running.join()


def test_a_thread_that_is_left_is_named_until_it_ends() -> None:
    process_state()
    before = process_state()
    with thread():
        [change] = found(before).values()
        assert change.name.startswith("thread ") and change.before == ABSENT
    assert found(before) == {}


def test_a_thread_that_is_about_to_end_is_waited_for() -> None:
    process_state()
    watch = StateWatch(process_state)
    running = threading.Timer(0.05, lambda: None)
    running.start()
    assert watch.compare() == ()


def test_a_descriptor_a_signal_and_a_variable_are_named_with_both_values(monkeypatch: pytest.MonkeyPatch) -> None:
    before = process_state()
    monkeypatch.setenv("EVOTUNE_TEST_SECRET", "not to be shown")
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    reading, writing = os.pipe()
    try:
        changed = found(before)
    finally:
        os.close(reading)
        os.close(writing)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    assert changed[f"descriptor {reading}"].after.startswith("pipe:")
    handler = changed["the handler of SIGUSR2"]
    assert (handler.before, handler.after) == ("the default", "ignored")
    variable = changed["the variable EVOTUNE_TEST_SECRET"]
    assert variable.before == ABSENT and "not to be shown" not in variable.after
