"""How long `evotune leaderboard` takes on a large database, process start included. The bound is 1 s.

    python benchmarks/leaderboard_query.py [--trials 100000] [--db FILE]

Fills a new SQLite file with searches of 2,000 trials (half of them listed, with builds, gates, raw samples and a
profile), then runs the command several times. A file that is there already is timed as it is.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, select

from evotune_db.engine import open_engines
from evotune_db.lookups import now
from evotune_db.schema import tables
from evotune_db.schema.finding_tables import profile

TRIALS_PER_SEARCH = 2_000
RUNS = 7
KERNELS = ("attention_fwd", "layer_norm")
DEVICES = ("Device A", "Device B", "Device C")
WORKLOADS = ("mission", "causal", "long")
SAMPLES = {side: [[2000.0 + block, 2001.0 + block] for block in range(12)] for side in ("candidate", "baseline")}
SEARCH = {
    "kernel_hash": "0" * 64,
    "space": "cpu",
    "space_hash": "1" * 64,
    "valid_configurations": 20_000,
    "target": "cpu",
    "sampler": "random",
    "budget": TRIALS_PER_SEARCH,
    "options": {},
    "versions": {},
    "state": "finished",
}
BUILD = {
    "target": "cpu",
    "flags": ["-O3"],
    "compiler": "g++",
    "seconds": 2.0,
    "succeeded": True,
    "resources": {},
    "log": "note: loop vectorized\n" * 40,
}
TIMING = {
    "phase": "search",
    "mode": "cold",
    "censored": False,
    "complete": True,
    "baseline": "sdpa_fp16",
    **dict.fromkeys(("median_us", "p50_us", "p90_us", "p99_us", "baseline_us"), 2000.0),
    **dict.fromkeys(("speedup_low", "speedup_high"), 1.0),
    "blocks": 12,
    "dropped_blocks": 0,
    "conditions": {"openmp": "libgomp"},
    "samples": SAMPLES,
}
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--db", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = options.db or Path(folder) / "large.db"
        if not file.exists():
            fill(file, options.trials)
        report(file)


def fill(file: Path, trials: int) -> None:
    """A new database with that many trials, to the next whole search."""
    started = time.perf_counter()
    engines = open_engines(str(file))
    numbers = random.Random(0)
    with engines.write.begin() as connection:
        shared(connection)
        for number in range(-(-trials // TRIALS_PER_SEARCH)):
            one_search(connection, number + 1, numbers)
    engines.close()
    print(f"filled in {time.perf_counter() - started:.0f} s, {file.stat().st_size / 1e6:.0f} MB", file=sys.stderr)


def report(file: Path) -> None:
    """Prints what is in the database and the command's time on it."""
    engines = open_engines(str(file))
    with engines.read.connect() as connection:
        counts = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in counted()]
    engines.close()
    seconds = [run_command(file) for _ in range(RUNS)]
    print("{:,} trials, {:,} leaderboard entries".format(*counts))
    print(f"evotune leaderboard: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s of {RUNS} runs")


def counted() -> tuple[Table, Table]:
    return tables.trial, tables.leaderboard


def run_command(file: Path) -> float:
    started = time.perf_counter()
    command = [sys.executable, "-m", "evotune", "leaderboard", "--db", str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def shared(connection: Connection) -> None:
    """What every search refers to; devices are numbered from 1."""
    insert(connection, tables.kernel, ({"name": name, "source_hash": SEARCH["kernel_hash"]} for name in KERNELS))
    insert(connection, tables.space, [{"name": "cpu", "hash": SEARCH["space_hash"], "text": "parameters: {}"}])
    devices = ({"hash": name, "uuid": name, "name": name, "kind": "cpu", "facts": {}} for name in DEVICES)
    insert(connection, tables.device, devices)


def one_search(connection: Connection, search: int, numbers: random.Random) -> None:
    kernel, workload = KERNELS[search % 2], WORKLOADS[search % 3]
    device = numbers.randrange(len(DEVICES))
    header = {"id": search, "kernel": kernel, "workloads": [workload], "seed": search}
    insert(connection, tables.search, [{**SEARCH, **header, "started": now(), "finished": now()}])
    ids = range((search - 1) * TRIALS_PER_SEARCH + 1, search * TRIALS_PER_SEARCH + 1)
    listed = [trial for trial in ids if trial % 2]
    speedups = {trial: numbers.lognormvariate(0.0, 0.3) for trial in listed}
    insert(connection, tables.build, ({**BUILD, "id": trial, "key": f"{trial:064d}"} for trial in ids))
    insert(connection, tables.trial, (trial_row(trial, search, device + 1, trial in speedups) for trial in ids))
    insert(connection, tables.gate_result, (row for trial in ids for row in gate_rows(trial, workload)))
    timings = (timing_row(trial, workload, device + 1, speedup) for trial, speedup in speedups.items())
    insert(connection, tables.timing, timings)
    insert(connection, profile, (profile_row(trial, workload, device + 1) for trial in listed))
    common = {"search_id": search, "kernel": kernel, "workload": workload}
    on_device = {"device_id": device + 1, "device": DEVICES[device]}
    entries = ({**common, **on_device, **entry_row(trial, speedup)} for trial, speedup in speedups.items())
    insert(connection, tables.leaderboard, entries)


def insert(connection: Connection, table: Table, rows: Iterator[Row] | list[Row]) -> None:
    connection.execute(table.insert(), list(rows))


def trial_row(trial: int, search: int, device: int, passed: bool) -> Row:
    configuration = {"tile_m": trial % 97, "tile_n": trial % 89, "threads": 2, "persistent": True, "unroll": trial}
    return {
        "id": trial,
        "search_id": search,
        "number": trial,
        "configuration": configuration,
        "configuration_key": str(trial),
        "state": "passed" if passed else "failed",
        "failed_gate": None if passed else "numerics",
        "own_binary": True,
        "device_id": device,
        "build_id": trial,
        "proposed": now(),
        "finished": now(),
    }


def gate_rows(trial: int, workload: str) -> Iterator[Row]:
    for gate in ("build", "numerics", "timing"):
        common = {"trial_id": trial, "phase": "search", "passed": True, "figures": {"seconds": 0.1}}
        yield {**common, "gate": gate, "workload": workload}


def timing_row(trial: int, workload: str, device: int, speedup: float) -> Row:
    own = {"id": trial, "trial_id": trial, "build_id": trial, "device_id": device}
    return {**TIMING, **own, "workload": workload, "speedup": speedup}


def profile_row(trial: int, workload: str, device: int) -> Row:
    own = {"trial_id": trial, "build_id": trial, "device_id": device, "workload": workload, "made": now()}
    return {**own, "duration_us": 5.0, "tensor_active_pct": 40.0, "achieved_occupancy_pct": 20.0, "metrics": {}}


def entry_row(trial: int, speedup: float) -> Row:
    return {
        "trial_id": trial,
        "trial_state": "passed",
        "own_binary": True,
        "target": "cpu",
        "timing_id": trial,
        "build_id": trial,
        "timing_phase": "search",
        "timing_complete": True,
        "speedup": speedup,
        "confirmed": False,
        "certified": False,
    }


if __name__ == "__main__":
    main()
