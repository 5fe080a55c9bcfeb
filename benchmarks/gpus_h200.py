"""What more GPUs of one host are worth: `evotune search --budget 400` on 1, 2 and 4 of them, one after the other.

    python benchmarks/gpus_h200.py [--gpus 1 2 4] [--budget 400] [--workload mission] [--sampler evolution]
        [--out benchmarks/results/gpus_h200.json]

Throughput is trials per minute from the first proposal until the last outcome, its bound 0.9 times the number of GPUs
(3.6 at 4). Beside it stand the command's whole time, which has the start and the confirmation of the finalists in it,
and what each run's GPUs waited. Every run begins with empty caches and a database of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import create_engine, func, select

from benchmarks.results_file import write_results
from benchmarks.search_h200 import search
from evotune_db.schema.tables import trial
from evotune_workers.kernel.device import local_devices

LEAST_OF_N = 0.9
"""Of n GPUs' worth of one GPU's throughput: 3.6 at 4."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One search: `seconds` of the whole command, `search_seconds` from the first proposal until the last outcome."""

    gpus: int
    trials: int
    passed: int
    failed_by_gate: dict[str, int]
    seconds: float
    search_seconds: float
    idle_share: float
    best_us: float

    @property
    def per_minute(self) -> float:
        """Trials per minute of the search itself."""
        return 60 * self.trials / self.search_seconds


def main() -> None:
    """Runs the searches, prints a line each beside its bound, writes what there is after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--budget", type=int, default=400)
    parser.add_argument("--workload", default="mission")
    parser.add_argument("--sampler", default="evolution")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpus_h200.json")
    options = parser.parse_args()
    devices = local_devices()
    if len(devices) < max(options.gpus):
        sys.exit(f"this machine must have the GPUs that are asked for, has {len(devices)}, asked for: {options.gpus}")
    searched = ["--budget", str(options.budget), "--workload", options.workload, "--sampler", options.sampler]
    print("| GPUs | trials a minute | of one GPU's | bound | GPUs idle | search, s | whole command, s | best, cold |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    runs: list[Run] = []
    for gpus in options.gpus:
        runs.append(run(gpus, searched))
        print(table_line(runs[-1], runs[0]), flush=True)
        figures = {"search": " ".join(["evotune search", *searched]), "cores": os.cpu_count(), "runs": runs}
        write_results(options.out, devices[0], figures)


def table_line(run: Run, first: Run) -> str:
    """A run beside the first one, which need not have been on one GPU."""
    times, bound = run.per_minute / first.per_minute, LEAST_OF_N * run.gpus / first.gpus
    bound_text = "" if run is first else f"{bound:.1f}x"
    return (
        f"| {run.gpus} | {run.per_minute:.0f} | {times:.2f}x | {bound_text} | {run.idle_share:.1%} "
        f"| {run.search_seconds:.0f} | {run.seconds:.0f} | {run.best_us:.2f} us |"
    )


def run(gpus: int, searched: Sequence[str]) -> Run:
    """One search on so many GPUs; exits when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "search.db"
        seconds, result = search([*searched, "--gpus", str(gpus)], database)
        search_seconds = seconds_of_search(database)
    failed = result["failed_by_gate"]
    return Run(
        gpus,
        result["passed"] + sum(failed.values()),
        result["passed"],
        failed,
        seconds,
        search_seconds,
        result["idle_share"],
        result["best"]["median_us"],
    )


def seconds_of_search(database: Path) -> float:
    """From the first proposal until the last outcome of the only search in a database."""
    with create_engine(f"sqlite:///{database}").connect() as connection:
        first, last = connection.execute(select(func.min(trial.c.proposed), func.max(trial.c.finished))).one()
    return float((last - first).total_seconds())


if __name__ == "__main__":
    main()
