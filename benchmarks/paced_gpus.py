"""More GPUs of one host than it has: a search on one, then its like on workers that take as long as that one took.

    python -m benchmarks.paced_gpus [--workers 1 2 4 8] [--budget 400] [--workload mission] [--sampler evolution]
        [--out benchmarks/results/paced_gpus.json]

The workers are Ray's actors, each of which sleeps for as long as a measurement took on the GPU and hands back as much;
the rest is real: sampler, search loop, database, Ray, and every build by the compiler, on this machine's cores, however
many workers they are shared by. So it shows what the host does to throughput, and not what GPUs do to each other;
gpus_h200.py measures GPUs that are there. One worker of the kind beside the GPU itself says how true it is.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from unittest import mock

import ray

from benchmarks.results_file import write_results
from benchmarks.virtual.results import Durations, Recorded, measurement
from evotune.display.progress import PlainReporter
from evotune.display.terminal import console
from evotune.planning.plan import Plan, make_plan
from evotune.planning.preflight import check_this_machine
from evotune.planning.request import SearchRequest
from evotune.planning.search_record import search_record
from evotune.samplers import SAMPLERS
from evotune.search.dispatcher import Dispatcher
from evotune.search.events import Event, Measured
from evotune.search.interrupt import Interrupt
from evotune.search.lease import SearchLease
from evotune.search.rounds import Rounds
from evotune.search.workers.wait_for_workers import wait_for_workers
from evotune.space import ValidSet
from evotune_db import Database
from evotune_workers.cluster.cluster import Cluster, Worker
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import MeasureJob, Measurement, WarmUpJob

RESULTS = Path(__file__).parent / "results" / "paced_gpus.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """One search: `workers` None is the GPU itself.

    `seconds` from the first proposal until the last outcome, `first_seconds` until the first was there;
    `measure_seconds` and `build_seconds` of a trial, on average; `idle_share` of the workers' time.
    """

    workers: int | None
    trials: int
    seconds: float
    first_seconds: float
    idle_share: float
    measure_seconds: float
    build_seconds: float

    @property
    def per_minute(self) -> float:
        """Trials per minute."""
        return 60 * self.trials / self.seconds


@dataclasses.dataclass(frozen=True)
class Recording:
    """What the trials of a search took, and the GPU until it was ready for the first, and that one."""

    durations: Durations
    ready_seconds: float
    first_seconds: float


class PacedActor:
    """Measures nothing, for as long as it took; gets ready and does its first job for as long as the GPU did."""

    def __init__(self, recording: Recording) -> None:
        """As long as these."""
        self._recording = recording
        self._ended: float | None = None

    def run(self, job: WarmUpJob | MeasureJob) -> Measurement | None:
        """Takes the time of a warm-up, or of the trial of the job's number, whose measurement it returns."""
        if isinstance(job, WarmUpJob):
            time.sleep(self._recording.ready_seconds)
            return None
        began = time.monotonic()
        one = self._recording.durations.of(job.candidate.number)
        waited = 0.0 if self._ended is None else began - self._ended
        time.sleep(self._recording.first_seconds if self._ended is None else one.measure_seconds)
        self._ended = time.monotonic()
        return dataclasses.replace(measurement(job.candidate, one), waited=waited)


class PacedWorkerPool:
    """As a search uses a WorkerPool: so many paced workers, who stay."""

    def __init__(self, count: int, device: Device, recording: Recording) -> None:
        """Each on a device like this one. Waits until all are there."""
        actors = [ray.remote(num_cpus=0)(PacedActor).remote(recording) for _ in range(count)]
        ray.get([actor.__ray_ready__.remote() for actor in actors])
        self.workers = tuple(Worker(f"paced {n}", device, actor) for n, actor in enumerate(actors))
        self.wanted = count
        self.futures: tuple[Any, ...] = ()
        self.surplus: tuple[Worker, ...] = ()

    def departed(self) -> list[Worker]:
        """Nobody is lost."""
        return []

    def look(self) -> None:
        """Nothing changes."""


def main() -> None:
    """Runs the searches, prints a line each, writes what there is after each on paced workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--budget", type=int, default=400)
    parser.add_argument("--workload", default="mission")
    parser.add_argument("--sampler", choices=list(SAMPLERS), default="evolution")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    request = SearchRequest(db="", workloads=(options.workload,), budget=options.budget, sampler=options.sampler)
    plan = make_plan(request)
    if plan.device is None or plan.device.kind != "cuda":
        sys.exit(f"a GPU must be there that evotune sees, got {plan.target}: run `evotune doctor`")
    valid = check_this_machine(plan)
    print(HEADINGS, flush=True)
    gpu, recording = on_the_gpu(plan, valid, request)
    figures = {
        "budget": options.budget,
        "sampler": options.sampler,
        "cores": os.cpu_count(),
        "ready_seconds": recording.ready_seconds,
    }
    print(table_line(gpu, gpu), flush=True)
    runs = [gpu]
    for count in options.workers:
        runs.append(on_paced_workers(plan, valid, request, count, recording))
        print(table_line(runs[-1], gpu), flush=True)
        write_results(options.out, plan.device, {**figures, "runs": runs})


HEADINGS = (
    "| workers | trials a minute | of the GPU's | idle | search, s | the first, s | a measurement, s | a build, s |\n"
    "|---|---|---|---|---|---|---|---|"
)


def table_line(run: Run, gpu: Run) -> str:
    """A run beside the GPU's own."""
    name = "the GPU" if run.workers is None else f"{run.workers} paced"
    seconds = f"{run.seconds:.1f} | {run.first_seconds:.1f} | {run.measure_seconds:.2f} | {run.build_seconds:.2f}"
    return (
        f"| {name} | {run.per_minute:.0f} | {run.per_minute / gpu.per_minute:.2f}x | {run.idle_share:.1%} | {seconds} |"
    )


def on_the_gpu(plan: Plan, valid: ValidSet, request: SearchRequest) -> tuple[Run, Recording]:
    """A search on this machine's first GPU, and what its trials took."""

    def pool(cluster: Cluster, interrupt: Interrupt) -> WorkerPool:
        return wait_for_workers(cluster, plan, 1, None, PlainReporter(console(sys.stderr)), interrupt)

    run, found = _run(plan, valid, request, None, pool)
    assert plan.device is not None, "who measures here is known from the start"
    durations = Durations("recorded", plan.device.name, tuple(found[number] for number in sorted(found)))
    first = next(iter(found.values())).measure_seconds
    return run, Recording(durations, run.first_seconds - first, first)


def on_paced_workers(plan: Plan, valid: ValidSet, request: SearchRequest, count: int, recording: Recording) -> Run:
    """The same search on so many paced workers."""
    device = plan.device
    assert device is not None, "who measures here is known from the start"

    def pool(cluster: Cluster, interrupt: Interrupt) -> WorkerPool:
        return cast("WorkerPool", PacedWorkerPool(count, device, recording))

    return _run(plan, valid, request, count, pool)[0]


def _run(
    plan: Plan,
    valid: ValidSet,
    request: SearchRequest,
    workers: int | None,
    pool: Callable[[Cluster, Interrupt], WorkerPool],
) -> tuple[Run, dict[int, Recorded]]:
    """A search with an empty cache and a database of its own, as evotune.search.run runs one; nothing is confirmed.

    With it what its trials came to, in the order in which they ended.
    """
    reporter = PlainReporter(console(sys.stderr))
    watched = Watched()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(mock.patch.dict(os.environ, EVOTUNE_CACHE=f"{folder}/cache"))
        stack.enter_context(mock.patch.object(Dispatcher, "wait", watched.watching(Dispatcher.wait)))
        database = stack.enter_context(Database.open(f"{folder}/search.db"))
        lease = stack.enter_context(SearchLease(database, reporter.note))
        cluster = Cluster(plan.package, None)
        stack.callback(cluster.close)
        interrupt = stack.enter_context(Interrupt(None))
        search_id = lease.start(search_record(plan, valid, request))
        of_workers = pool(cluster, interrupt)
        rounds = Rounds(plan, cluster, of_workers, valid, [], database, search_id, reporter, interrupt)
        began = time.monotonic()
        state = rounds.run(())
        seconds = time.monotonic() - began
        database.finish_search(search_id, state)
    if state != "finished":
        sys.exit(f"the search must finish, it was {state}")
    idle_share = rounds.idle_share or 0.0  # None: nobody waited
    return watched.figures(workers, began, seconds, idle_share), watched.found


class Watched:
    """What a dispatcher's trials came to, and when."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.found: dict[int, Recorded] = {}
        self._ended: list[float] = []

    def watching(self, wait: Callable[[Dispatcher, float], Iterator[Event]]) -> Callable[..., Iterator[Event]]:
        """The dispatcher's `wait`, looked over the shoulder."""

        def watched(dispatcher: Dispatcher, seconds: float) -> Iterator[Event]:
            for event in wait(dispatcher, seconds):
                if isinstance(event, Measured):
                    self.found[event.candidate.number] = _recorded(event)
                    self._ended.append(time.monotonic())
                yield event

        return watched

    def figures(self, workers: int | None, began: float, seconds: float, idle_share: float) -> Run:
        """Of a search that began then and took so long."""
        trials, found = len(self.found), self.found.values()
        return Run(
            workers,
            trials,
            seconds,
            self._ended[0] - began,
            idle_share,
            sum(one.measure_seconds for one in found) / trials,
            sum(one.build_seconds for one in found) / trials,
        )


def _recorded(event: Measured) -> Recorded:
    measured = event.measurement
    build = sum(each.build.seconds for each in event.candidate.builds)
    cold = next((timing for timing in measured.timings if timing.mode == "cold"), None)
    if measured.failed_gate is not None or cold is None:
        return Recorded(build, measured.seconds, measured.failed_gate, None, False)
    return Recorded(build, measured.seconds, None, cold.speedup, cold.censored)


if __name__ == "__main__":
    main()
