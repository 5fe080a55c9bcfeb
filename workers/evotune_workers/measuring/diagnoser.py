"""A diagnosis through a killable child: whatever a stage's build does there is a finding, and the next one follows."""

from __future__ import annotations

from dataclasses import replace

from evotune_workers.child.messages import LookAt
from evotune_workers.child.sandbox import ChildBroke
from evotune_workers.compilers.candidate import StageBuild
from evotune_workers.diagnosis.finding import OUTPUT, Diagnosis, StageFinding
from evotune_workers.diagnosis.wrong_result import WrongResult, traced_workload
from evotune_workers.measuring.child_session import ChildLost, GateFailed, Session
from evotune_workers.measuring.jobs import DiagnoseJob

DIAGNOSIS = "diagnosis"
# A launch, and the stage's values in float64; on a GPU, what an endless launch costs.
LIMIT_SECONDS = 20.0
# As for a trial: an earlier build may be what killed the child.
ATTEMPTS = 2


def diagnose(session: Session, job: DiagnoseJob) -> Diagnosis:
    """Every stage on the inputs that gave the wrong result; a stage that cannot be looked at says why."""
    wrong = _complete(session, job)
    own = next(built for built in job.candidate.builds if built.workload == wrong.built_for)
    findings = tuple(_look(session, job, wrong, each) for each in (*job.stages, StageBuild(OUTPUT, own)))
    if not all(finding.passed for finding in findings):
        # Whatever a wrong build did to the child's memory must not meet the next trial.
        session.renew()
    return Diagnosis(job.candidate.number, wrong, findings)


def _complete(session: Session, job: DiagnoseJob) -> WrongResult:
    """With the inputs that a gate takes when it says nothing of them."""
    if job.wrong.distribution is not None:
        return job.wrong
    return replace(job.wrong, distribution=session.kernel.distributions[0], seed=job.seeds[0])


def _look(session: Session, job: DiagnoseJob, wrong: WrongResult, stage: StageBuild) -> StageFinding:
    failure = stage.built.build.failure
    if failure is not None:
        return _unseen(session, job, wrong, stage, f"its build must compile: {failure}")
    for _ in range(ATTEMPTS):
        try:
            return _ask(session, job, wrong, stage)
        except (GateFailed, ChildBroke) as error:
            session.renew()
            reason = _why(error)
            if not isinstance(error, ChildLost):
                break
    return _unseen(session, job, wrong, stage, reason)


def _ask(session: Session, job: DiagnoseJob, wrong: WrongResult, stage: StageBuild) -> StageFinding:
    with session.loaded({DIAGNOSIS: (job.candidate, stage.built)}, job.variant, job.seeds):
        request = LookAt(DIAGNOSIS, stage.stage, wrong, session.criteria(stage.built))
        finding = session.ask(DIAGNOSIS, request, LIMIT_SECONDS)
    assert isinstance(finding, StageFinding)
    return finding


def _unseen(session: Session, job: DiagnoseJob, wrong: WrongResult, stage: StageBuild, reason: str) -> StageFinding:
    workload = traced_workload(session.kernel, job.candidate.configuration, wrong)
    return StageFinding(stage.stage, workload.name, passed=False, reason=reason)


def _why(error: GateFailed | ChildBroke) -> str:
    if isinstance(error, GateFailed):
        return str(error.verdict.reason)
    return f"the kernel's Python raised: {str(error).strip().splitlines()[-1]}"
