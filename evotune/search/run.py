"""One search from request to result: plan, connect, loop, confirm; or only build."""

from __future__ import annotations

import time
from collections.abc import Sequence

from evotune.errors import UserError
from evotune.planning import warm_start
from evotune.planning.plan import Plan, enumerate_valid, make_plan
from evotune.planning.preflight import check_this_machine
from evotune.planning.request import SearchRequest
from evotune.planning.resume import resumed_plan
from evotune.planning.search_record import search_record
from evotune.search.confirm.finalists import confirm_best
from evotune.search.context import SearchContext
from evotune.search.failures import resumable, run_to_end
from evotune.search.interrupt import Interrupt
from evotune.search.lease import SearchLease
from evotune.search.reporter import Reporter
from evotune.search.result import SearchResult
from evotune.search.rounds import Rounds
from evotune.search.stored_result import Run, read_result
from evotune.search.workers.wait_for_workers import wait_for_workers
from evotune.space import ValidSet
from evotune_db import Database
from evotune_db.records import FINISHED, StoredSearch
from evotune_workers.cluster.cluster import Cluster, ClusterError, Worker
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.kernel.device import Device


def run_search(request: SearchRequest, reporter: Reporter) -> SearchResult:
    """Run a search, or resume a stored one; every trial is recorded as it ends.

    Raises UserError for what the user can put right; what was recorded until then stays recorded.
    """
    started = time.monotonic()
    with Database.open(request.db) as database, SearchLease(database, reporter.note) as lease:
        stored = lease.load(request.resume)
        plan = resumed_plan(stored, request) if stored else make_plan(request)
        if plan.note is not None:
            reporter.note(plan.note)
        checked = check_this_machine(plan) if request.ray_address is None else None
        cluster = _connect(plan, request)
        try:
            with Interrupt(request.time_limit) as interrupt:
                context = _prepare(request, plan, checked, stored, lease, cluster, reporter, interrupt)
                run = _run(context, request, stored, started)
        finally:
            reporter.stopped()
            cluster.close()
        return read_result(run, plan, database, request.db)


def _connect(plan: Plan, request: SearchRequest) -> Cluster:
    try:
        return Cluster(plan.package, request.ray_address)
    except ClusterError as error:
        raise UserError(f"{error}; check --ray-address, or leave it out for a local Ray") from error


def _prepare(
    request: SearchRequest,
    plan: Plan,
    checked: ValidSet | None,
    stored: StoredSearch | None,
    lease: SearchLease,
    cluster: Cluster,
    reporter: Reporter,
    interrupt: Interrupt,
) -> SearchContext:
    """Wait for workers, whose device decides what is valid, and record the search."""
    database, pool = lease.database, None
    if not plan.build_only:
        before = database.measured_on(stored.id) if stored is not None else None
        pool = wait_for_workers(cluster, plan, request.gpus, before, reporter, interrupt)
    device = _device(plan, pool)
    valid = _valid(plan, device, checked)
    starting_points = warm_start.starting_points_of(request, stored, database, plan, device, valid)
    if stored is None:
        search_id = lease.start(search_record(plan, valid, request, starting_points))
    else:
        search_id = lease.resume(stored.id, plan.budget)
    first = tuple(each.configuration for each in starting_points)
    context = SearchContext(plan, cluster, pool, valid, first, database, search_id, reporter, interrupt)
    _announce(context, device, stored)
    if request.warm_start:
        reporter.note(f"warm start: {warm_start.in_words(starting_points)}")
    return context


def _run(context: SearchContext, request: SearchRequest, stored: StoredSearch | None, started: float) -> Run:
    """Try configurations until the budget is spent, then confirm the best."""
    search_id = context.search_id
    with resumable(search_id, request):
        rounds = Rounds(context)
        state = run_to_end(rounds.run, stored, context.database, search_id)
        if context.pool is not None and not context.interrupt.pressed:
            confirm_best(context, context.pool, local=request.ray_address is None)
    return Run(search_id, state, rounds.idle_share, time.monotonic() - started)


def _device(plan: Plan, pool: WorkerPool | None) -> Device:
    """Return the device whose limits count: that of the workers, else the plan's."""
    workers: Sequence[Worker] = pool.workers if pool is not None else ()
    if workers:
        return workers[0].device
    assert plan.device is not None, "a search that only builds knows its device from the start"
    return plan.device


def _valid(plan: Plan, device: Device, checked: ValidSet | None) -> ValidSet:
    """Return the set that was enumerated before Ray was started, if the device has the limits that it was made for."""
    if checked is not None and plan.device is not None and plan.device.limits == device.limits:
        return checked
    return enumerate_valid(plan, device)


def _announce(context: SearchContext, device: Device, stored: StoredSearch | None) -> None:
    plan = context.plan
    done = sum(trial.state in FINISHED for trial in stored.trials) if stored else 0
    place = f"for {plan.target}, limits of {device.name}" if plan.build_only else f"on {device.name}"
    kernel = f"{plan.kernel.name} ({', '.join(plan.workloads)}) {place}"
    names = tuple(worker.name for worker in context.workers)
    description = f"{kernel}, {len(context.valid)} valid configurations"
    context.reporter.started(context.search_id, plan.budget - done, names, description)
