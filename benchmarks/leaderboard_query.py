"""Time `evotune leaderboard` on a large SQLite file, process start included. The limit is 1 s.

    python benchmarks/leaderboard_query.py [--trials 100000] [--db FILE]

It fills a new file (shared/many_trials.py), then runs the command several times. An existing file is used as it is.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.shared.many_trials import fill
from evotune_db.engine import open_engines
from evotune_db.schema import tables

RUNS = 7


def main() -> None:
    """Fill the file, and print its size and the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--db", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = options.db or Path(folder) / "large.db"
        is_new = not file.exists()
        engines = open_engines(str(file))
        if is_new:
            for filled in fill(engines.write, options.trials):
                print(f"{filled:,} trials", file=sys.stderr, flush=True)
        with engines.read.connect() as connection:
            counted = (tables.trial, tables.gate_result, tables.leaderboard)
            counts = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in counted]
        engines.close()
        print(
            "{:,} trials, {:,} checks, {:,} leaderboard entries".format(*counts), f"{file.stat().st_size / 1e6:.0f} MB"
        )
        seconds = [_run_command(file) for _ in range(RUNS)]
    print(f"evotune leaderboard: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s of {RUNS} runs")


def _run_command(file: Path) -> float:
    started = time.perf_counter()
    command = [sys.executable, "-m", "evotune", "leaderboard", "--db", str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
