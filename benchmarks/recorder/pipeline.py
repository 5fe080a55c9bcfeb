"""Builds on every core beside one measurement at a time."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.system.machine_lock import building

# Builds begun for each core, so that none waits for the next job, and no more lie ready than are soon measured.
AHEAD = 2
WAIT_SECONDS = 1.0
# The process that measures goes first.
BUILDER_NICENESS = 5


def build_and_measure(
    folder: Path, jobs: Iterator[BuildJob], measure: Callable[[Candidate], None], until: float
) -> None:
    """Builds the jobs and hands each candidate to `measure`, until all are done or the clock (monotonic) says so.

    Raises ToolchainError without a compiler. Builds under way at the end are waited for and kept in the build cache.
    """
    cores = len(os.sched_getaffinity(0))
    pool = ProcessPoolExecutor(cores, get_context("spawn"), initializer=os.nice, initargs=(BUILDER_NICENESS,))
    under_way: set[Future[Candidate]] = set()
    ready: deque[Future[Candidate]] = deque()
    try:
        while time.monotonic() < until:
            for job in _next(jobs, AHEAD * cores - len(under_way) - len(ready)):
                under_way.add(pool.submit(_build, folder, job))
            done, under_way = wait(under_way, 0 if ready else WAIT_SECONDS, FIRST_COMPLETED)
            ready.extend(done)
            if ready:
                measure(ready.popleft().result())
            elif not under_way:
                break
    finally:
        pool.shutdown(cancel_futures=True)


def _next(jobs: Iterator[BuildJob], count: int) -> Iterator[BuildJob]:
    for _ in range(count):
        job = next(jobs, None)
        if job is None:
            return
        yield job


def _build(folder: Path, job: BuildJob) -> Candidate:
    """On a CPU target builds and measurements take turns."""
    with building() if job.target == "cpu" else contextlib.nullcontext():
        return build_candidate(folder, job)
