"""The time that others took from a process's threads: told from their times, and measured on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from evotune_workers.timing.disturbance import ThreadTimes, lost_seconds, thread_times

MS = 1_000_000
BEFORE = ThreadTimes(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("after", "lost_ms"),
    [
        pytest.param(ThreadTimes(10 * MS, 10 * MS, 0, 0), 0, id="ran all the time"),
        pytest.param(ThreadTimes(10 * MS, 7 * MS, 1 * MS, 0), 3, id="waited and was stolen from"),
        pytest.param(ThreadTimes(10 * MS, 7 * MS, 1 * MS, 2), 1, id="slept, so only the waiting is known"),
        pytest.param(ThreadTimes(10 * MS, 0, 0, 0), 0, id="slept all the time"),
    ],
)
def test_a_thread_that_does_not_sleep_loses_all_the_time_off_a_core(after: ThreadTimes, lost_ms: int) -> None:
    assert lost_seconds({"1": BEFORE}, {"1": after}) == pytest.approx(lost_ms / 1e3)


def test_a_thread_that_has_ended_or_has_just_begun_lost_nothing() -> None:
    late = ThreadTimes(10 * MS, 1 * MS, 9 * MS, 0)
    assert lost_seconds({"1": BEFORE, "2": BEFORE}, {"2": late, "3": late}) == pytest.approx(9e-3)


@pytest.fixture
def on_one_core() -> int:
    """Return a core that this process may use."""
    return min(os.sched_getaffinity(0))


def standing_seconds() -> float:
    """Return the time that passed, less what this thread ran."""
    return time.perf_counter() - time.thread_time()


def test_a_thread_that_shares_its_core_loses_what_it_does_not_run(on_one_core: int) -> None:
    """With a process that spins on the same core; and a thread that sleeps meanwhile loses nothing."""
    asleep = threading.Event()
    sleeper = threading.Thread(target=asleep.wait)
    sleeper.start()
    with subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) as other:
        os.sched_setaffinity(other.pid, {on_one_core})
        usual = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {on_one_core})
        before, stood, end = thread_times(), standing_seconds(), time.perf_counter() + 0.4
        while time.perf_counter() < end:
            pass
        lost, stood = lost_seconds(before, thread_times()), standing_seconds() - stood
        os.sched_setaffinity(0, usual)
        other.kill()
    asleep.set()
    sleeper.join()
    assert lost >= 0.1 and lost == pytest.approx(stood, abs=0.05)
