"""The orchestrator with 1 to 1,000 workers that only take time: how busy it keeps them, and what a trial costs it.

    python benchmarks/virtual_workers.py [--workers 1 10 100 1000] [--durations h200 cpu] [--db sqlite postgresql]
        [--sampler random] [--clock wall|core] [--out benchmarks/results/virtual_workers.json]

Search loop, dispatcher, recorder, study, sampler and database are those of a search; only the cluster is simulated.
A job takes what a recorded one took (virtual/durations.json), 8 cores build for each worker, and waiting takes no time:
the clock runs while the orchestrator works (`core`: while it is on a core, for a machine that others use, and a
database that is not a server's) and jumps where it waits. What Ray itself costs the orchestrator is not in
it; orchestrator_cost.py measures it, on a real one. Bounds: 90 % busy up to 100 workers; 5 ms a trial, the proposal
apart.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from unittest import mock

from rich.console import Console

from benchmarks.own_postgresql import own_postgresql
from benchmarks.results_file import write_results
from benchmarks.virtual.clock import Clock
from benchmarks.virtual.cluster import VirtualCluster, utilisation
from benchmarks.virtual.results import Durations
from evotune.display.progress import PlainReporter
from evotune.planning.plan import Plan, enumerate_valid, make_plan
from evotune.planning.request import SearchRequest
from evotune.planning.search_record import search_record
from evotune.samplers import SAMPLERS
from evotune.search import dispatcher as dispatcher_module
from evotune.search.dispatcher import Dispatcher
from evotune.search.interrupt import Interrupt
from evotune.search.lease import SearchLease
from evotune.search.loop import ClusterWork, SearchLoop
from evotune.search.recorder import Recorder
from evotune.search.reuse import Reuse
from evotune.search.study import Proposal, Study
from evotune.space import ValidSet
from evotune_db import Database
from evotune_workers.cluster.cluster import Cluster
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.kernel.device import cpu_device

ROOT = Path(__file__).resolve().parent.parent
# Of a worker's own node, such as the eight of Google's g2-standard-8 beside its L4.
CORES_PER_WORKER = 8
# Enough for the beginning, and for the end, where a job may wait behind a long one while other workers have none, to be
# small parts.
TRIALS_PER_WORKER, LEAST_TRIALS, MOST_TRIALS = 100, 1_000, 10_000
BUSY_LEAST, COST_MOST_MS = 0.90, 5.0
REQUEST = SearchRequest(db="", kernel="attention_fwd", target="sm_90", build_only=True)


@dataclass(frozen=True)
class Figures:
    """One search: shares of the workers' time, and milliseconds of the orchestrator's own for a trial.

    `cost_ms` is what passes meanwhile, the proposal apart; `cpu_ms` what of it this process is on a core.
    """

    durations: str
    db: str
    workers: int
    trials: int
    busy: float
    busy_from_first: float
    cost_ms: float
    cpu_ms: float
    proposal_ms: float
    trials_per_second: float


@dataclass(frozen=True)
class Home:
    """A new database: "sqlite" or "postgresql", and its URL."""

    kind: str
    url: str


class TimedStudy(Study):
    """Adds up what proposals take: seconds, and those of them on a core."""

    seconds, cpu_seconds = 0.0, 0.0

    def ask(self) -> Proposal:
        begun = time.process_time()
        proposal = super().ask()
        self.cpu_seconds += time.process_time() - begun
        self.seconds += proposal.seconds
        return proposal


def main() -> None:
    options = _options()
    plan = make_plan(REQUEST)
    assert plan.device is not None
    valid = enumerate_valid(plan, plan.device)
    plan = replace(plan, sampler=options.sampler, build_only=False)
    found: list[Figures] = []
    print(HEADINGS, flush=True)
    for durations in map(Durations.load, options.durations):
        for db in options.db:
            for workers in options.workers:
                with _database(db) as url:
                    clock = Clock(of_core=options.clock == "core")
                    found.append(search(plan, valid, Home(db, url), workers, durations, clock))
                print(row(found[-1]), flush=True)
                write(options.out, options.sampler, len(valid), found)


def search(plan: Plan, valid: ValidSet, home: Home, workers: int, durations: Durations, clock: Clock) -> Figures:
    """One search with so many workers."""
    trials = min(MOST_TRIALS, max(LEAST_TRIALS, TRIALS_PER_WORKER * workers))
    plan, cores = replace(plan, budget=trials), CORES_PER_WORKER * workers
    reporter = PlainReporter(Console(file=io.StringIO(), width=120))
    assert plan.device is not None
    with Database.open(home.url) as database, SearchLease(database, print) as lease, Interrupt(None) as interrupt:
        search_id = database.start_search(search_record(plan, valid, REQUEST))
        lease.take(search_id)
        study = TimedStudy(valid, plan.sampler, plan.seed)
        device = plan.device
        recorder = Recorder(database, search_id, study, reporter, plan.space.limits, Reuse(plan, lambda: [device]))
        cluster = VirtualCluster(clock, workers, cores, plan.device, durations)
        dispatcher = Dispatcher(cast("Cluster", cluster), cast("WorkerPool", cluster), plan.variant, (1, 2, 3))
        work = ClusterWork(plan, dispatcher, recorder, reporter)
        clock.start()
        with mock.patch.object(dispatcher_module, "ray", cluster):
            state = SearchLoop(work, recorder, interrupt, budget=trials, batch=cores).run(())
        worked, worked_cpu, virtual = clock.worked, clock.worked_cpu, clock.now
        database.finish_search(search_id, state)
    busy = utilisation(cluster.actors)
    return Figures(
        durations=durations.name,
        db=home.kind,
        workers=workers,
        trials=trials,
        busy=busy["steady"],
        busy_from_first=busy["from_first"],
        cost_ms=1e3 * (worked - study.seconds) / trials,
        cpu_ms=1e3 * (worked_cpu - study.cpu_seconds) / trials,
        proposal_ms=1e3 * study.cpu_seconds / trials,
        trials_per_second=trials / virtual,
    )


HEADINGS = (
    "| durations | database | workers | trials | busy | from the first on | a trial, ms | on a core, ms |"
    " proposal, ms | trials/s |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def row(one: Figures) -> str:
    """One line of the table."""
    shares = f"{one.busy:.1%} | {one.busy_from_first:.1%}"
    costs = f"{one.cost_ms:.2f} | {one.cpu_ms:.2f} | {one.proposal_ms:.2f} | {one.trials_per_second:.1f}"
    return f"| {one.durations} | {one.db} | {one.workers:,} | {one.trials:,} | {shares} | {costs} |"


def write(out: Path, sampler: str, valid: int, found: list[Figures]) -> None:
    """What has been found so far, with what it rests on."""
    figures = {
        "sampler": sampler,
        "valid_configurations": valid,
        "cores_per_worker": CORES_PER_WORKER,
        "searches": found,
    }
    write_results(out, cpu_device(), figures)


@contextmanager
def _database(kind: str) -> Iterator[str]:
    """The URL of a new database."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield str(Path(folder) / "virtual.db")
        return
    with own_postgresql() as url:
        yield url


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 10, 100, 1000])
    parser.add_argument("--durations", nargs="+", choices=Durations.names(), default=Durations.names())
    parser.add_argument("--db", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--sampler", choices=list(SAMPLERS), default="random")
    parser.add_argument("--clock", choices=["wall", "core"], default="wall")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "virtual_workers.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
