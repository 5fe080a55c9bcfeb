"""evotune beside Kernel Tuner on a GPU: the same kernel, space and budget; time to finish and best found.

    python benchmarks/kernel_tuner_h200.py [--budget 200] [--seeds 1] [--strategy genetic_algorithm ...]
        [--db evotune.db --search-seconds 88] [--out benchmarks/results/kernel_tuner_h200.json]

Needs kernel_tuner and cuda-bindings beside evotune, on a machine with an H200. Every search runs in processes of its
own, one after the other, with empty caches. Then evotune puts what each found through all its gates, and times the best
that passes of each side by side in one process. With `--db`, evotune's side is the searches of that budget in it.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.beside_kernel_tuner.job import Evaluated, TunerJob, TunerResult
from benchmarks.beside_kernel_tuner.verdict import Verdict, verdicts
from benchmarks.results_file import write_results
from evotune_db import Database
from evotune_db.records import LeaderboardFilter, SearchSummary
from evotune_workers.kernel.device import Device, local_devices

ROOT = Path(__file__).resolve().parent.parent
# The one that Kernel Tuner's examples use most, and one of the two that its release 1.4 added as better than the rest.
STRATEGIES = ("genetic_algorithm", "hybrid_vndx")
# What a search of Kernel Tuner's may take, and how much longer its process.
TIME_LIMIT, GRACE = 600.0, 60.0

HEADINGS = "| tuner | to finish | tried | failed | best, by itself | cold, by evotune | warm | over the first | |"


@dataclasses.dataclass(frozen=True)
class Searched:
    """One search: seconds from the start of its process to the end (None where not known), and what it found."""

    seconds: float | None
    tried: int
    failed: int
    details: Mapping[str, Any]
    ranked: tuple[Evaluated, ...]


def main() -> None:
    """Runs what is to be run, prints a table, writes the results."""
    options = arguments()
    devices = local_devices()
    if not devices:
        sys.exit("a GPU must be there that evotune sees, got none: run `evotune doctor`")
    device = devices[0]
    searched: dict[str, Searched] = {}
    for name, search in itertools.chain(own_searches(options, device), kernel_tuner_searches(options, device)):
        searched[name] = search
        print(f"{name}: {search.tried} tried, {search.failed} failed, seconds {search.seconds}", flush=True)
        write(options, device, searched, {})
    judged = verdicts(device, options.workload, {name: each.ranked for name, each in searched.items()})
    print(HEADINGS)
    for name, search in searched.items():
        print(row(name, search, judged[name]), flush=True)
    write(options, device, searched, judged)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--strategy", nargs="*", default=list(STRATEGIES))
    parser.add_argument("--workload", default="mission")
    parser.add_argument("--time-limit", type=float, default=TIME_LIMIT)
    parser.add_argument("--db", help="a database with searches of evotune's; without it, they are run here")
    parser.add_argument("--search-seconds", type=float, help="what `evotune search` said that the search in --db took")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "kernel_tuner_h200.json")
    return parser.parse_args()


def own_searches(options: argparse.Namespace, device: Device) -> Iterator[tuple[str, Searched]]:
    """evotune's side; exits where a given database has no search to compare with."""
    if options.db is not None:
        found = list(recorded(options, device, options.db))
        if not found:
            sys.exit(f"--db must have a finished search of budget {options.budget} for {device.target}: {options.db}")
        yield from ((name, dataclasses.replace(each, seconds=options.search_seconds)) for name, each in found)
        return
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            db = str(Path(folder) / "search.db")
            command = ["-m", "evotune", "search", "--budget", str(options.budget), "--workload", options.workload]
            started = time.time()
            failure = run([*command, "--seed", str(seed), "--db", db], folder, None)
            seconds = time.time() - started
            if failure is not None:
                sys.exit(f"evotune's own search must succeed: {failure}")
            [(_, search)] = recorded(options, device, db)
            yield f"evotune, seed {seed}", dataclasses.replace(search, seconds=seconds)


def recorded(options: argparse.Namespace, device: Device, db: str) -> Iterator[tuple[str, Searched]]:
    """The finished searches of this budget with their confirmed best."""
    with Database.open(db) as database:
        for search in database.searches():
            if comparable(search, options, device):
                wanted = LeaderboardFilter(search=search.id, workload=options.workload, top=1)
                best = tuple(Evaluated(each.configuration, each.median_us) for each in database.leaderboard(wanted))
                details = {"sampler": search.sampler, "seed": search.seed}
                yield f"evotune, search {search.id}", Searched(None, search.built, search.failed, details, best)


def comparable(search: SearchSummary, options: argparse.Namespace, device: Device) -> bool:
    same = (search.kernel, search.target, search.budget, search.state)
    return same == ("attention_fwd", device.target, options.budget, "finished") and options.workload in search.workloads


def kernel_tuner_searches(options: argparse.Namespace, device: Device) -> Iterator[tuple[str, Searched]]:
    for strategy in options.strategy:
        for seed in range(options.seeds):
            yield f"{strategy}, seed {seed}", kernel_tuner(options, device, strategy, seed)


def kernel_tuner(options: argparse.Namespace, device: Device, strategy: str, seed: int) -> Searched:
    """One search of Kernel Tuner's; one without a result where its process failed or had to be ended."""
    with tempfile.TemporaryDirectory() as folder:
        job, result = Path(folder) / "job.json", Path(folder) / "result.json"
        started = time.time()
        asked = TunerJob(
            strategy, seed, options.budget, options.workload, dict(device.limits), options.time_limit, started
        )
        job.write_text(json.dumps(dataclasses.asdict(asked)))
        ended = run(
            ["-m", "benchmarks.beside_kernel_tuner.run", str(job), str(result)], folder, options.time_limit + GRACE
        )
        seconds = time.time() - started
        if not result.exists():
            return Searched(seconds, 0, 0, {"ended": ended or "its process left no result"}, ())
        outcome = TunerResult.of_json(json.loads(result.read_text()))
    details = {key: value for key, value in dataclasses.asdict(outcome).items() if key != "ranked"}
    failed = outcome.failed + outcome.wrong
    return Searched(seconds, outcome.distinct + outcome.failed, failed, details, outcome.ranked)


def run(command: list[str], folder: str, limit: float | None) -> str | None:
    """Runs Python in a folder, with caches there; returns how it failed, if it did."""
    paths = [ROOT, *(Path(path).resolve() for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "EVOTUNE_CACHE": str(Path(folder) / "builds"),
        "CUDA_CACHE_PATH": str(Path(folder) / "compiled"),
    }
    try:
        code = subprocess.run([sys.executable, *command], cwd=folder, env=environment, timeout=limit).returncode
    except subprocess.TimeoutExpired:
        return f"ended after {limit:.0f} s"
    return f"exit code {code}" if code else None


def row(name: str, search: Searched, verdict: Verdict) -> str:
    """One line of the README's table."""
    seconds = "?" if search.seconds is None else f"{search.seconds:.0f} s"
    start = f"| {name} | {seconds} | {search.tried} | {search.failed} |"
    if verdict.cold_us is None or verdict.warm_us is None or verdict.claimed_us is None:
        return f"{start} no result: {verdict.refused or search.details.get('ended') or verdict.reason} |"
    over = "" if verdict.over_first is None else f"{verdict.over_first.median:.3f}"
    times = f"{verdict.claimed_us:.2f} us | {verdict.cold_us:.2f} us | {verdict.warm_us:.2f} us"
    return f"{start} {times} | {over} | {len(verdict.refused)} refused before it |"


def write(
    options: argparse.Namespace, device: Device, searched: Mapping[str, Searched], judged: Mapping[str, Verdict]
) -> None:
    """Everything so far, with what it depends on; of what was found, the first ten."""
    tuners = {
        name: {**dataclasses.asdict(dataclasses.replace(each, ranked=each.ranked[:10])), "verdict": judged.get(name)}
        for name, each in searched.items()
    }
    figures = {"budget": options.budget, "workload": options.workload, "tuners": tuners}
    write_results(options.out, device, figures)


if __name__ == "__main__":
    main()
