"""Confirming the best of a search: fresh process, new seeds, finalists timed interleaved with each other."""

from __future__ import annotations

import ray

from evotune.outcomes import device_record, gate_records, timing_records
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


def confirm_finalists(
    plan: Plan, cluster: Cluster, worker: Worker, database: Database, search_id: int, reporter: Reporter
) -> None:
    """Confirms the best trials that stand on the leaderboard; each verdict is recorded as it comes."""
    standing = _ranked(database, search_id)
    for first in range(0, min(len(standing), FINALISTS * ROUNDS), FINALISTS):
        finalists = standing[first : first + FINALISTS]
        reporter.worker(worker.name, f"confirming trials {', '.join(str(trial.id) for trial in finalists)}")
        if _confirm(plan, cluster, worker, database, finalists, reporter):
            return


def _ranked(database: Database, search_id: int) -> list[StoredTrial]:
    """Trials of the search with a complete timing for every workload, the best objective first."""
    listed = {entry.trial for entry in database.leaderboard(LeaderboardFilter(search=search_id))}
    trials = [trial for trial in database.load_search(search_id).trials if trial.id in listed]
    return sorted(trials, key=lambda trial: trial.objective if trial.objective is not None else float("inf"))


def _confirm(
    plan: Plan, cluster: Cluster, worker: Worker, database: Database, finalists: list[StoredTrial], reporter: Reporter
) -> bool:
    """Whether at least one was confirmed."""
    jobs = [
        BuildJob(trial.number, trial.configuration, plan.space.variant, plan.target, plan.workloads)
        for trial in finalists
    ]
    candidates = ray.get([cluster.build(job) for job in jobs])
    job = ConfirmJob(tuple(candidates), plan.space.variant, confirmation_seeds(plan.seed))
    measurements = ray.get(cluster.confirm(worker, job))
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
        )
    return any(measurement.timings for measurement in measurements)
