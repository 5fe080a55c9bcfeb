"""Confirming the best of a search: fresh process, new seeds, finalists timed interleaved with each other."""

from __future__ import annotations

from collections import Counter
from typing import Any

import ray

from evotune.interrupt import Interrupt
from evotune.outcomes import build_records, device_record, gate_records, timing_records
from evotune.plan import Plan
from evotune.progress import Reporter
from evotune.seeds import confirmation_seeds
from evotune_db import Database
from evotune_db.records import LeaderboardFilter, StoredTrial
from evotune_workers.builder import BuildJob
from evotune_workers.cluster import Cluster, Worker
from evotune_workers.jobs import ConfirmJob

FINALISTS = 5
# When every finalist of a round fails, the next best are tried; more rounds would only hide that something is wrong.
ROUNDS = 3
WAIT_SECONDS = 0.2


def confirm_finalists(
    plan: Plan,
    cluster: Cluster,
    worker: Worker,
    database: Database,
    search_id: int,
    reporter: Reporter,
    interrupt: Interrupt,
) -> None:
    """Confirms the best trials that stand on the leaderboard; each verdict is recorded as it comes.

    Ends early when interrupted; what is not confirmed then stays listed as it is.
    """
    standing = _ranked(database, search_id, len(plan.workloads))
    for first in range(0, min(len(standing), FINALISTS * ROUNDS), FINALISTS):
        finalists = standing[first : first + FINALISTS]
        reporter.worker(worker.name, f"confirming trials {', '.join(str(trial.id) for trial in finalists)}")
        if _confirm(plan, cluster, worker, database, finalists, reporter, interrupt) or interrupt.pressed:
            return


def _ranked(database: Database, search_id: int, workloads: int) -> list[StoredTrial]:
    """Trials of the search with a complete timing for every workload, the best objective first."""
    listed = Counter(entry.trial for entry in database.leaderboard(LeaderboardFilter(search=search_id)))
    trials = [trial for trial in database.load_search(search_id).trials if listed[trial.id] == workloads]
    return sorted(trials, key=lambda trial: trial.objective if trial.objective is not None else float("inf"))


def _confirm(
    plan: Plan,
    cluster: Cluster,
    worker: Worker,
    database: Database,
    finalists: list[StoredTrial],
    reporter: Reporter,
    interrupt: Interrupt,
) -> bool:
    """Whether the next best need not be tried: one was confirmed, or the machine was too busy to say."""
    jobs = [
        BuildJob(trial.number, trial.configuration, plan.space.variant, plan.target, plan.workloads)
        for trial in finalists
    ]
    candidates = _result([cluster.build(job) for job in jobs], interrupt)
    if candidates is None or any(built.build.binary is None for each in candidates for built in each.builds):
        return False
    job = ConfirmJob(tuple(candidates), plan.space.variant, confirmation_seeds(plan.seed))
    measurements = _result([cluster.confirm(worker, job)], interrupt)
    if measurements is None:
        return False
    [measurements] = measurements
    for trial, candidate, measurement in zip(finalists, candidates, measurements, strict=True):
        if measurement.reason is not None:
            reporter.note(f"trial {trial.id} was not confirmed: {measurement.reason}")
        if measurement.failed_gate is None and not measurement.timings:
            continue  # the machine was busy: the trial stays listed as it was
        database.record_confirmation(
            trial.id,
            device_record(worker.device),
            gate_records(measurement.gates),
            timing_records(candidate, measurement.timings, "confirm"),
            measurement.failed_gate is None,
            measurement.reason,
            builds=build_records(candidate),
        )
    return any(measurement.failed_gate is None for measurement in measurements)


def _result(futures: list[Any], interrupt: Interrupt) -> Any:
    """What the futures hold, or None when the search is interrupted before they are all there."""
    while len(ray.wait(futures, num_returns=len(futures), timeout=WAIT_SECONDS)[0]) < len(futures):
        if interrupt.pressed:
            return None
    return ray.get(futures)
