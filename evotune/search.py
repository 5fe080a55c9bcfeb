"""One search from request to result: plan, connect, loop, confirm, summarise; or only build."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from ray.exceptions import RayError

from evotune import warm_start
from evotune.confirmation import Confirmation
from evotune.ended import Ended, result_of
from evotune.endings import last_line, resumable, run_to_end
from evotune.errors import UserError
from evotune.hold import Hold
from evotune.interrupt import Interrupt
from evotune.plan import Plan, enumerate_valid, make_plan, search_record
from evotune.preflight import check_this_machine
from evotune.progress import Reporter
from evotune.replay.search import is_replay, run_replay
from evotune.request import SearchRequest, SearchResult
from evotune.resume import resumed_plan
from evotune.rounds import Rounds
from evotune.space import ValidSet
from evotune_db import Database
from evotune_db.progress import FINISHED
from evotune_db.records import StoredSearch
from evotune_workers.alone import Alone
from evotune_workers.cluster import Cluster, ClusterError, Worker
from evotune_workers.device import Device


def run_search(request: SearchRequest, reporter: Reporter) -> SearchResult:
    """Runs a search, or goes on with a stored one; every trial is recorded as it ends.

    Raises UserError for what the user can put right; what was recorded until then stays recorded.
    """
    started = time.monotonic()
    with Database.open(request.db) as database, Hold(database, reporter.note) as hold:
        stored = _stored(request, hold)
        if is_replay(request, stored):
            return run_replay(request, stored, hold, reporter)
        plan = resumed_plan(stored, request) if stored else make_plan(request)
        if plan.note is not None:
            reporter.note(plan.note)
        checked = check_this_machine(plan) if request.ray_address is None else None
        ended = _search(request, plan, checked, stored, hold, reporter)
        return result_of(ended, plan, database, time.monotonic() - started, request.db)


def _stored(request: SearchRequest, hold: Hold) -> StoredSearch | None:
    """Of a search to go on with, read when nobody else can add to it any more."""
    if request.resume is None:
        return None
    hold.take(request.resume)
    return hold.database.load_search(request.resume)


def _search(
    request: SearchRequest,
    plan: Plan,
    checked: ValidSet | None,
    stored: StoredSearch | None,
    hold: Hold,
    reporter: Reporter,
) -> Ended:
    database = hold.database
    cluster = _connect(plan, request)
    try:
        with Interrupt(request.time_limit) as interrupt:
            workers = () if plan.build_only else _workers(cluster, plan.target)
            device = _device(plan, workers)
            valid = _valid(plan, device, checked)
            precedents = warm_start.precedents_of(request, stored, database, plan, device, valid)
            if stored is None:
                search_id = hold.start(search_record(plan, valid, request, precedents))
            else:
                search_id = hold.go_on(stored.id, plan.budget)
            _announce(reporter, search_id, plan, stored, workers, device, valid)
            if request.warm_start:
                reporter.note(f"warm start: {warm_start.in_words(precedents)}")
            with resumable(search_id, request):
                first = [each.configuration for each in precedents]
                rounds = Rounds(plan, cluster, workers, valid, first, database, search_id, reporter, interrupt)
                state = run_to_end(rounds, stored, database, search_id)
                if workers and not interrupt.pressed:
                    worker = rounds.workers[0]
                    with _confirming_lab(plan, request, cluster, worker) as lab:
                        _confirm(Confirmation(plan, lab, worker, database, reporter, interrupt), search_id)
            return Ended(search_id, state, rounds.idle_share)
    finally:
        reporter.stopped()
        cluster.close()


def _connect(plan: Plan, request: SearchRequest) -> Cluster:
    try:
        return Cluster(plan.package, request.ray_address)
    except ClusterError as error:
        raise UserError(f"{error}; check --ray-address, or leave it out for a local Ray") from error


def _workers(cluster: Cluster, target: str) -> tuple[Worker, ...]:
    try:
        return cluster.workers(target)
    except ClusterError as error:
        raise UserError(f"{error}: pass another --target, or --build-only to compile without measuring") from error
    except RayError as error:
        raise UserError(f"a measuring worker must start, got: {last_line(error)}") from error


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


@contextlib.contextmanager
def _confirming_lab(plan: Plan, request: SearchRequest, cluster: Cluster, worker: Worker) -> Iterator[Cluster | Alone]:
    """Where finalists are confirmed: on the cluster, but for a local CPU search alone on the machine."""
    if request.ray_address is not None or worker.device.kind != "cpu":
        yield cluster
        return
    cluster.close()
    alone = Alone(plan.package, worker.device)
    try:
        yield alone
    finally:
        alone.close()


def _confirm(confirmation: Confirmation, search_id: int) -> None:
    """The search has its result already: what goes wrong here costs the confirmation, not the summary."""
    try:
        confirmation.run(search_id)
    except RayError as error:
        confirmation.reporter.note(f"the best could not be confirmed: {last_line(error)}")


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
