"""The main job on a GPU as a user runs it: `evotune search --budget 200`, process start and empty caches included.

    python benchmarks/search_h200.py [--budget 200] [--workload mission] [--db search.db]
        [--out benchmarks/results/search_h200.json]

Says how long it took (bound: 4 minutes), for which share of the time from the first build to the last measurement the
GPU had nothing to do (bound: 10 %), what failed where, and the winner beside the fastest SDPA backend.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results_file import write_results
from evotune_workers.kernel.device import local_devices

SECONDS_MOST, IDLE_MOST = 240.0, 0.10


def main() -> None:
    """Runs the search, prints its figures beside their bounds, writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--workload", default="mission")
    parser.add_argument("--db", type=Path, help="a new database to keep the search in")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "search_h200.json")
    options = parser.parse_args()
    devices = local_devices()
    if not devices:
        sys.exit("a GPU must be there that evotune sees, got none: run `evotune doctor`")
    searched = ["--budget", str(options.budget), "--workload", options.workload]
    seconds, result = search(searched, options.db)
    best = result["best"]
    print(f"{devices[0].name}: {result['built']} built, {result['passed']} passed, failed {result['failed_by_gate']}")
    print(f"{seconds:.0f} s (bound {SECONDS_MOST:.0f}), GPU idle {result['idle_share']:.1%} (bound {IDLE_MOST:.0%})")
    interval = f"{best['speedup']:.3f}x [{best['speedup_low']:.3f}, {best['speedup_high']:.3f}]"
    print(f"best, cold: {best['median_us']:.2f} us, {interval} over {best['baseline']}")
    figures = {
        "command": " ".join(["evotune search", *searched]),
        "seconds": seconds,
        "result": result,
    }
    write_results(options.out, devices[0], figures)


def search(options: Sequence[str], kept: Path | None) -> tuple[float, dict[str, Any]]:
    """Wall seconds of the command with an empty cache, and its result; exits when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        database, cache = str(kept or Path(folder) / "search.db"), str(Path(folder) / "cache")
        command = [sys.executable, "-m", "evotune", "search", *options]
        started = time.perf_counter()
        ran = subprocess.run(
            [*command, "--db", database, "--json"],
            env={**os.environ, "EVOTUNE_CACHE": cache},
            stdout=subprocess.PIPE,
            text=True,
        )
        seconds = time.perf_counter() - started
    if ran.returncode:
        sys.exit(f"the search must find a configuration, it ended with exit code {ran.returncode}")
    return seconds, json.loads(ran.stdout)


if __name__ == "__main__":
    main()
