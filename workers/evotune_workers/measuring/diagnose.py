"""Diagnosing a wrong result: every stage runs in a killable child, and a crash there is a finding, too."""

from __future__ import annotations

from dataclasses import replace

from evotune_workers.child.messages import CheckStage
from evotune_workers.child.sandbox import ChildBroke
from evotune_workers.compilers.candidate import StageBuild
from evotune_workers.diagnosis.finding import OUTPUT, Diagnosis, StageFinding
from evotune_workers.diagnosis.wrong_result import WrongResult, traced_workload
from evotune_workers.measuring.child_session import ChildLost, GateFailed, Session
from evotune_workers.measuring.jobs import DiagnoseJob

DIAGNOSIS = "diagnosis"
# Enough for a launch and the stage's values in float64; on a GPU, the cost of an endless launch.
LIMIT_SECONDS = 20.0
# As for a trial, since an earlier build may have killed the child.
ATTEMPTS = 2


def diagnose(session: Session, job: DiagnoseJob) -> Diagnosis:
    """Compare every stage on the inputs that gave the wrong result; one that cannot be compared has a reason."""
    wrong = _complete(session, job)
    own = next(built for built in job.candidate.builds if built.workload == wrong.built_for)
    findings = tuple(_check(session, job, wrong, each) for each in (*job.stages, StageBuild(OUTPUT, own)))
    if not all(finding.passed for finding in findings):
        # A wrong build may have damaged the child's memory: the next trial gets a fresh child.
        session.renew()
    return Diagnosis(job.candidate.number, wrong, findings)


def _complete(session: Session, job: DiagnoseJob) -> WrongResult:
    """Add the inputs of a gate that names none: the first distribution and seed."""
    if job.wrong.distribution is not None:
        return job.wrong
    return replace(job.wrong, distribution=session.kernel.distributions[0], seed=job.seeds[0])


def _check(session: Session, job: DiagnoseJob, wrong: WrongResult, stage: StageBuild) -> StageFinding:
    failure = stage.built.build.failure
    if failure is not None:
        return _not_compared(session, job, wrong, stage, f"its build must compile: {failure}")
    for _ in range(ATTEMPTS):
        try:
            return _ask(session, job, wrong, stage)
        except (GateFailed, ChildBroke) as error:
            session.renew()
            reason = _why(error)
            if not isinstance(error, ChildLost):
                break
    return _not_compared(session, job, wrong, stage, reason)


def _ask(session: Session, job: DiagnoseJob, wrong: WrongResult, stage: StageBuild) -> StageFinding:
    with session.loaded({DIAGNOSIS: (job.candidate, stage.built)}, job.variant, job.seeds):
        request = CheckStage(DIAGNOSIS, stage.stage, wrong, session.criteria(stage.built))
        finding = session.ask(DIAGNOSIS, request, LIMIT_SECONDS, side=DIAGNOSIS)
    assert isinstance(finding, StageFinding)
    return finding


def _not_compared(
    session: Session, job: DiagnoseJob, wrong: WrongResult, stage: StageBuild, reason: str
) -> StageFinding:
    workload = traced_workload(session.kernel, job.candidate.configuration, wrong)
    return StageFinding(stage.stage, workload.name, passed=False, reason=reason)


def _why(error: GateFailed | ChildBroke) -> str:
    if isinstance(error, GateFailed):
        return str(error.verdict.reason)
    return f"the kernel's Python raised: {str(error).strip().splitlines()[-1]}"
