"""Time the main job as a user runs it: `evotune search --budget 200`, with process start and empty caches.

    python benchmarks/search.py [--budget 200] [--workload mission] [--sampler evolution] [--target auto]
        [--gpus 1 2 4] [--out benchmarks/results/search.json]

It prints the time of the command, the trials per minute from the first proposal to the last outcome, the share of time
in which the GPUs were idle, and the winner's speed-up over each baseline. With --gpus, it runs a search for each number
of GPUs. The limits: 4 minutes, 10 % idle, and n GPUs are at least 0.9 n times as fast as one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, func, select

from benchmarks.shared.results_file import write_results
from benchmarks.shared.speedups import over_baselines
from evotune_db import Database
from evotune_db.schema.tables import trial
from evotune_workers.kernel.device import cpu_device, local_devices

HEADINGS = (
    "| GPUs | trials | passed | whole command, s | search, s | trials a minute | of the first line's | idle | best |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


@dataclasses.dataclass(frozen=True)
class Run:
    """One search on `gpus` (0: without --gpus); `search_seconds`: from the first proposal to the last outcome.

    `over`: the winner's confirmed speed-up over each baseline, by timing mode.
    """

    gpus: int
    trials: int
    seconds: float
    search_seconds: float
    result: Mapping[str, Any]
    over: Mapping[str, Mapping[str, float]]

    @property
    def per_minute(self) -> float:
        """The trials per minute of the search itself."""
        return 60 * self.trials / self.search_seconds


def main() -> None:
    """Run the searches, print a line for each, and write the results after each."""
    options = _options()
    devices = [] if options.target == "cpu" else local_devices()
    if len(devices) < max(options.gpus):
        sys.exit(f"--gpus must be at most the {len(devices)} GPUs of this machine, got {options.gpus}")
    searched = [f"--{name}={getattr(options, name)}" for name in ("budget", "workload", "sampler", "target")]
    print(HEADINGS, flush=True)
    runs: list[Run] = []
    for gpus in options.gpus:
        runs.append(run(searched, gpus))
        print(table_line(runs[-1], runs[0]), flush=True)
        device = devices[0] if devices else cpu_device()
        write_results(options.out, device, {"search": searched, "cores": os.cpu_count(), "runs": runs})
    for mode, over in runs[-1].over.items():
        print(f"winner, {mode}: {', '.join(f'{ratio:.2f}x {side}' for side, ratio in over.items())}")


def run(searched: Sequence[str], gpus: int) -> Run:
    """Run one search with an empty cache and database; exit when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "search.db"
        on_gpus = [f"--gpus={gpus}"] if gpus else []
        command = [sys.executable, "-m", "evotune", "search", *searched, *on_gpus, "--db", str(file), "--json"]
        environment = {**os.environ, "EVOTUNE_CACHE": str(Path(folder) / "cache")}
        started = time.perf_counter()
        ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - started
        if ran.returncode:
            sys.exit(f"the search must find a configuration, got exit code {ran.returncode}")
        result = json.loads(ran.stdout)
        trials = result["passed"] + sum(result["failed_by_gate"].values())
        with Database.open(str(file)) as database:
            timings = database.trial(result["best"]["trial"]).timings
        confirmed = {
            str(timing.mode): over_baselines(timing.samples) for timing in timings if timing.phase == "confirm"
        }
        return Run(gpus, trials, seconds, _search_seconds(file), result, confirmed)


def table_line(run: Run, first: Run) -> str:
    """Format a run, with its throughput beside the first one's."""
    best, idle = run.result["best"], run.result["idle_share"]
    speedup = f"{best['speedup']:.2f}x [{best['speedup_low']:.2f}, {best['speedup_high']:.2f}] {best['baseline']}"
    cells = (
        str(run.gpus or ""),
        str(run.trials),
        str(run.result["passed"]),
        f"{run.seconds:.0f}",
        f"{run.search_seconds:.0f}",
        f"{run.per_minute:.0f}",
        f"{run.per_minute / first.per_minute:.2f}x",
        "" if idle is None else f"{idle:.1%}",
        f"{best['median_us']:.2f} us, {speedup}",
    )
    return f"| {' | '.join(cells)} |"


def _search_seconds(file: Path) -> float:
    with create_engine(f"sqlite:///{file}").connect() as connection:
        first, last = connection.execute(select(func.min(trial.c.proposed), func.max(trial.c.finished))).one()
    return float((last - first).total_seconds())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--workload", default="mission")
    parser.add_argument("--sampler", default="evolution")
    parser.add_argument("--target", default="auto")
    parser.add_argument("--gpus", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "search.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
