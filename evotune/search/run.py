"""One search from request to result: plan, connect, loop, confirm, summarise; or only build."""

from __future__ import annotations

import time

from evotune.errors import UserError
from evotune.planning import warm_start
from evotune.planning.plan import Plan, enumerate_valid, make_plan
from evotune.planning.preflight import check_this_machine
from evotune.planning.request import SearchRequest
from evotune.planning.resume import resumed_plan
from evotune.planning.search_record import search_record
from evotune.search.confirm.finalists import Finals
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
from evotune_db.records import FINISHED, SearchState, StoredSearch
from evotune_workers.cluster.cluster import Cluster, ClusterError, Worker
from evotune_workers.kernel.device import Device


def run_search(request: SearchRequest, reporter: Reporter) -> SearchResult:
    """Runs a search, or goes on with a stored one; every trial is recorded as it ends.

    Raises UserError for what the user can put right; what was recorded until then stays recorded.
    """
    started = time.monotonic()
    with Database.open(request.db) as database, SearchLease(database, reporter.note) as lease:
        stored = lease.load(request.resume)
        plan = resumed_plan(stored, request) if stored else make_plan(request)
        if plan.note is not None:
            reporter.note(plan.note)
        checked = check_this_machine(plan) if request.ray_address is None else None
        search_id, state, idle_share = _search(request, plan, checked, stored, lease, reporter)
        run = Run(search_id, state, idle_share, time.monotonic() - started)
        return read_result(run, plan, database, request.db)


def _search(
    request: SearchRequest,
    plan: Plan,
    checked: ValidSet | None,
    stored: StoredSearch | None,
    lease: SearchLease,
    reporter: Reporter,
) -> tuple[int, SearchState, float | None]:
    database = lease.database
    cluster = _connect(plan, request)
    try:
        with Interrupt(request.time_limit) as interrupt:
            before = database.measured_on(stored.id) if stored is not None else None
            pool = (
                None if plan.build_only else wait_for_workers(cluster, plan, request.gpus, before, reporter, interrupt)
            )
            workers = pool.workers if pool is not None else ()
            device = _device(plan, workers)
            valid = _valid(plan, device, checked)
            starting_points = warm_start.starting_points_of(request, stored, database, plan, device, valid)
            if stored is None:
                search_id = lease.start(search_record(plan, valid, request, starting_points))
            else:
                search_id = lease.resume(stored.id, plan.budget)
            _announce(reporter, search_id, plan, stored, workers, device, valid)
            if request.warm_start:
                reporter.note(f"warm start: {warm_start.in_words(starting_points)}")
            with resumable(search_id, request):
                first = [each.configuration for each in starting_points]
                rounds = Rounds(plan, cluster, pool, valid, first, database, search_id, reporter, interrupt)
                state = run_to_end(rounds, stored, database, search_id)
                if pool is not None and not interrupt.pressed:
                    finals = Finals(plan, cluster, pool, database, reporter, interrupt)
                    finals.run(search_id, local=request.ray_address is None)
            return search_id, state, rounds.idle_share
    finally:
        reporter.stopped()
        cluster.close()


def _connect(plan: Plan, request: SearchRequest) -> Cluster:
    try:
        return Cluster(plan.package, request.ray_address)
    except ClusterError as error:
        raise UserError(f"{error}; check --ray-address, or leave it out for a local Ray") from error


def _device(plan: Plan, workers: tuple[Worker, ...]) -> Device:
    """Whose limits count: that of the workers, else the plan's."""
    if workers:
        return workers[0].device
    assert plan.device is not None, "a search that only builds knows its device from the start"
    return plan.device


def _valid(plan: Plan, device: Device, checked: ValidSet | None) -> ValidSet:
    """What was enumerated before Ray was started, if the device that measures has the limits that it was done for."""
    if checked is not None and plan.device is not None and plan.device.limits == device.limits:
        return checked
    return enumerate_valid(plan, device)


def _announce(
    reporter: Reporter,
    search_id: int,
    plan: Plan,
    stored: StoredSearch | None,
    workers: tuple[Worker, ...],
    device: Device,
    valid: ValidSet,
) -> None:
    done = sum(trial.state in FINISHED for trial in stored.trials) if stored else 0
    where = f"for {plan.target}, limits of {device.name}" if plan.build_only else f"on {device.name}"
    what = f"{plan.kernel.name} ({', '.join(plan.workloads)}) {where}"
    names = tuple(worker.name for worker in workers)
    reporter.started(search_id, plan.budget - done, names, f"{what}, {len(valid)} valid configurations")
