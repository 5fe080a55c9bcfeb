"""Measuring one trial: its gates in order, then its timing."""

from __future__ import annotations

import time
from dataclasses import replace

from evotune_workers.child.messages import WarmUp
from evotune_workers.child.sandbox import ChildBroke
from evotune_workers.compilers.candidate import Candidate, WorkloadBuild
from evotune_workers.gates.gate import GateResult
from evotune_workers.gates.running import RUNNING_GATES
from evotune_workers.measuring.child_session import (
    CANDIDATE,
    LOAD_LIMIT_SECONDS,
    ChildLost,
    GateFailed,
    Refuted,
    Session,
)
from evotune_workers.measuring.jobs import MeasureJob, Measurement, WarmUpJob
from evotune_workers.measuring.timing_session import NoResult, TimingSession
from evotune_workers.timing.summary import Timing


def warm_up(session: Session, job: WarmUpJob) -> None:
    """Prepare the child for the first trial, which also finds out what goes wrong here."""
    try:
        session.ask("launch", WarmUp(job.workloads, job.seeds), LOAD_LIMIT_SECONDS)
    except (GateFailed, ChildBroke):
        session.renew()


def measure(session: Session, job: MeasureJob) -> Measurement:
    """Apply every gate and time the candidate at every workload; the first failure ends the trial.

    A configuration whose child died, or whose child's Python raised, is tried once more in a fresh child before it is
    marked failed: an earlier configuration may have been at fault. Raises ChildBroke when Python raises again.
    """
    started = time.perf_counter()
    try:
        measurement = _attempt(session, job)
    except (ChildLost, ChildBroke):
        session.renew()
        measurement = _second_attempt(session, job)
    return replace(measurement, seconds=time.perf_counter() - started)


def _second_attempt(session: Session, job: MeasureJob) -> Measurement:
    try:
        return _attempt(session, job)
    except ChildLost as lost:
        session.renew()
        return _failed(job.candidate, lost.results, lost)


def _attempt(session: Session, job: MeasureJob) -> Measurement:
    """Measure once; raises ChildLost, every other failure is in the measurement."""
    results: list[GateResult] = []
    timings: list[Timing] = []
    try:
        for built in job.candidate.builds:
            with session.loaded({CANDIDATE: (job.candidate, built)}, job.variant, job.seeds):
                for gate in RUNNING_GATES:
                    results += session.run_gate(gate, CANDIDATE, built)
                timings += _time(session, built, job.incumbents.get(built.workload), results)
    except ChildLost as lost:
        raise ChildLost((*results, *lost.results)) from lost
    except NoResult as busy:
        return replace(_failed(job.candidate, (*results, *busy.results), busy), busy=True)
    except GateFailed as failure:
        # A refused build may have damaged the child's memory: the next build gets a fresh child.
        session.renew()
        return _failed(job.candidate, (*results, *failure.results), failure)
    return Measurement(job.candidate.number, tuple(results), tuple(timings), None, None, seconds=0.0)


def _time(
    session: Session, built: WorkloadBuild, incumbent: float | None, results: list[GateResult]
) -> tuple[Timing, ...]:
    """Time the loaded build and add the verdict of the timing gate to `results`."""
    started = time.perf_counter()
    timings = TimingSession(session, {CANDIDATE: built}).cold_and_warm(incumbent)[CANDIDATE]
    figures = {"blocks": sum(timing.blocks for timing in timings), "censored": timings[0].censored}
    seconds = time.perf_counter() - started
    results.append(GateResult("timing", True, workload=built.workload, seconds=seconds, figures=figures))
    return timings


def _failed(candidate: Candidate, results: tuple[GateResult, ...], failure: GateFailed) -> Measurement:
    verdict = failure.verdict
    refuted = isinstance(failure, Refuted)
    return Measurement(candidate.number, results, (), verdict.gate, verdict.reason, seconds=0.0, refuted=refuted)
