"""The orchestrator's own cost per trial: ask, dispatch, record, tell; everything but waiting for workers.

    python benchmarks/orchestrator_cost.py [--budget 200] [--sampler random]

The kernel is a small real one (saxpy) in a space of 20,000 configurations, the database SQLite, the cluster a local
Ray.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from evotune.pipeline import Event, Pipeline
from evotune.progress import PlainReporter
from evotune.request import SearchRequest
from evotune.search import run_search
from evotune.terminal import console

KERNEL = Path(__file__).parent.parent / "tests" / "kernels" / "saxpy"
SPACE = """
kernel: saxpy
variant: cpu
parameters:
  unroll: {values: [VALUES], kind: ordered}
  threads: [1]
  fault: {values: [none], kind: categorical}
""".replace("VALUES", ", ".join(str(value) for value in range(1, 20_001)))


class Clock:
    """Adds up the time between waits."""

    def __init__(self) -> None:
        self.own_seconds: list[float] = []
        self._since = 0.0

    def waiting(self) -> None:
        if self._since:
            self.own_seconds.append(time.perf_counter() - self._since)

    def waited(self) -> None:
        self._since = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--sampler", default="random")
    options = parser.parse_args()
    clock = Clock()
    timed = mock.patch.object(Pipeline, "wait", _timed(Pipeline.wait, clock))
    with tempfile.TemporaryDirectory() as folder, timed:
        space = Path(folder) / "space.yaml"
        space.write_text(SPACE)
        request = SearchRequest(
            db=str(Path(folder) / "cost.db"),
            kernel=str(KERNEL),
            space=str(space),
            budget=options.budget,
            sampler=options.sampler,
        )
        result = run_search(request, PlainReporter(console(sys.stderr)))
    own = np.array(clock.own_seconds) * 1e3
    print(f"{result.built} trials, sampler {options.sampler}, 20,000 configurations, SQLite")
    print(
        f"own time: {own.sum() / result.built:.1f} ms a trial in all; between two waits median {np.median(own):.1f} ms"
    )


def _timed(wait: Callable[[Pipeline, float], list[Event]], clock: Clock) -> Callable[[Pipeline, float], list[Event]]:
    def timed(self: Pipeline, seconds: float) -> list[Event]:
        clock.waiting()
        events = wait(self, seconds)
        clock.waited()
        return events

    return timed


if __name__ == "__main__":
    main()
