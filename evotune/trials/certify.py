"""Run NVIDIA's tools on the build of a stored trial, and record their findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from evotune.errors import UserError
from evotune.planning.seeds import confirmation_seeds
from evotune.search.outcomes import build_records, device_record
from evotune.trials.device import device_that_measured
from evotune.trials.rebuild import rebuilt
from evotune.trials.select import Selected, select
from evotune_db import Database
from evotune_db.records import CertificationRecord, CheckRecord, DeviceRecord, LeaderboardFilter, ProfileRecord
from evotune_workers.certify.certifier import CertifyJob, certify
from evotune_workers.certify.findings import Certification, NoProfile, Profile
from evotune_workers.compilers.build import ToolchainError
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.folder import load_kernel


@dataclass(frozen=True)
class CertifiedTrial:
    """The findings of all tools on one trial, and its hardware counters or the reason why they could not be read."""

    trial: int
    certification: Certification
    profile: Profile | NoProfile


def certify_trial(database: Database, trial: int, workload: str | None, say: Callable[[str], None]) -> CertifiedTrial:
    """Certify one entry of the leaderboard and record the findings; `say` receives a line for each tool that starts.

    Raises UserError when the trial is not listed, or when this machine lacks the GPU or the tools. Raises it also when
    the build is no longer the one that was measured.
    """
    selected = select(database, LeaderboardFilter(trial=trial, workload=workload))
    device = device_that_measured(selected.entry, "certified")
    variant = load_kernel(selected.folder).variant_for(selected.entry.target)
    candidate = rebuilt(selected.details, selected.folder, variant.name, selected.entry.workload)
    job = CertifyJob(
        selected.folder,
        variant.name,
        variant.entry,
        candidate,
        selected.entry.workload,
        confirmation_seeds(selected.details.record.seed),
    )
    try:
        certification, profile = certify(job, lambda tool: say(f"trial {trial}: {tool} ..."))
    except ToolchainError as error:
        raise UserError(str(error)) from error
    _record(database, selected, candidate, device_record(device), certification, profile)
    return CertifiedTrial(trial, certification, profile)


def _record(
    database: Database,
    selected: Selected,
    candidate: Candidate,
    device: DeviceRecord,
    certification: Certification,
    profile: Profile | NoProfile,
) -> None:
    trial, made = selected.entry.trial, datetime.now(UTC)
    [build] = build_records(candidate)
    wrong = [finding for finding in certification.findings if finding.findings and finding.tool != "resources"]
    checks = tuple(CheckRecord(**vars(finding)) for finding in certification.findings)
    record = CertificationRecord(
        build.key,
        device,
        made,
        certification.passed,
        certification.runs,
        certification.different_runs,
        checks,
    )
    database.record_certification(trial, record, (build,))
    if wrong:
        # A kernel with a race or an access out of bounds is not correct, whatever its time.
        database.withdraw(trial, "; ".join(f"{finding.tool}: {finding.summary}" for finding in wrong))
    if isinstance(profile, Profile):
        counters = ProfileRecord(build.key, device, selected.entry.workload, made, **vars(profile))
        database.record_profile(trial, counters, (build,))
