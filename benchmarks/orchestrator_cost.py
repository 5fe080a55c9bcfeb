"""Measure the orchestrator's own cost per trial: ask, dispatch, record and tell, without the wait for workers.

    python benchmarks/orchestrator_cost.py [--budget 200] [--sampler random]

It runs a small real kernel (saxpy) in a space of 20,000 configurations, with SQLite and a local Ray cluster.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np

from evotune.display.progress import LineReporter
from evotune.display.terminal import console
from evotune.planning.request import SearchRequest
from evotune.search.dispatch.dispatcher import Dispatcher
from evotune.search.dispatch.events import Event, Measured
from evotune.search.run import run_search

KERNEL = Path(__file__).parent.parent / "tests" / "kernels" / "saxpy"
SPACE = """
kernel: saxpy
variant: cpu
parameters:
  unroll: [1, 2, 4, 8, 16]
  mark_high: [HIGH]
  mark_low: [LOW]
  threads: [1]
  fault: {values: [none], kind: categorical}
""".replace("HIGH", ", ".join(map(str, range(80)))).replace("LOW", ", ".join(map(str, range(50))))


class Clock:
    """Adds up the time between waits; a trial's share ends when its measurement has been recorded."""

    def __init__(self) -> None:
        self.own_seconds: list[float] = []
        self._since: float | None = None
        self._share = 0.0
        self._measured = False

    def waiting(self) -> None:
        if self._since is None:  # the loop has not started
            return
        self._share += time.perf_counter() - self._since
        if self._measured:
            self.own_seconds.append(self._share)
            self._share = 0.0

    def waited(self, events: list[Event]) -> None:
        self._measured = any(isinstance(event, Measured) for event in events)
        self._since = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--sampler", default="random")
    options = parser.parse_args()
    clock = Clock()
    timed = mock.patch.object(Dispatcher, "wait", _timed(Dispatcher.wait, clock))
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
        result = run_search(request, LineReporter(console(sys.stderr)))
    own = np.array(clock.own_seconds[: result.built]) * 1e3
    print(f"{result.built} trials, sampler {options.sampler}, 20,000 configurations, SQLite")
    print(f"own cost of a trial: median {np.median(own):.1f} ms, mean {own.mean():.1f} ms, worst {own.max():.1f} ms")


Wait = Callable[[Dispatcher, float], Iterator[Event]]


def _timed(wait: Wait, clock: Clock) -> Wait:
    def timed(self: Dispatcher, seconds: float) -> Iterator[Event]:
        clock.waiting()
        events = list(wait(self, seconds))
        clock.waited(events)
        return iter(events)

    return timed


if __name__ == "__main__":
    main()
