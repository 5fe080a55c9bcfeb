"""The main job on this machine's CPU: the best of `evotune search --budget 200` beside every SDPA path.

    python benchmarks/attention_cpu.py [--budget 200] [--workload mission]

Prints the wall time of the search and, for the winner's confirmation (fresh process, interleaved), its time and the
ratio to each baseline over the blocks in which both were timed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from evotune.display.progress import PlainReporter
from evotune.display.terminal import console
from evotune.planning.request import SearchRequest
from evotune.search.run import run_search
from evotune_db import Database
from evotune_db.records import TimingRecord


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--workload", default="mission")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder) / "attention.db")
        request = SearchRequest(db=database, target="cpu", workloads=(options.workload,), budget=options.budget)
        result = run_search(request, PlainReporter(console(sys.stderr)))
        if result.best is None:
            sys.exit("no configuration passed")
        with Database.open(database) as opened:
            timings = opened.trial(result.best.trial).timings
    print(f"{result.best.device}: {result.built} configurations in {result.seconds:.0f} s, {result.passed} passed")
    for timing in timings:
        if timing.phase == "confirm":
            _print(timing)


def _print(timing: TimingRecord) -> None:
    low, high = timing.speedup_low, timing.speedup_high
    print(f"{timing.workload}, {timing.mode}: {timing.median_us / 1e3:.2f} ms")
    print(f"  {timing.speedup:.2f}x [{low:.2f}, {high:.2f}] over {timing.baseline}, the fastest")
    candidate = np.array(next(pairs for side, pairs in timing.samples.items() if side.startswith("candidate")))
    for side, pairs in timing.samples.items():
        if not side.startswith("candidate"):
            blocks = np.array(pairs)
            ratio = np.median(blocks.sum(axis=1) / candidate[: len(blocks)].sum(axis=1))
            print(f"  {ratio:.2f}x over {side} ({np.median(blocks) / 1e3:.2f} ms, {len(blocks)} blocks)")


if __name__ == "__main__":
    main()
