"""`evotune certify`: a trial's build under NVIDIA's tools, and what they find in the record."""

from __future__ import annotations

from collections.abc import Callable
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


def certify_trial(database: Database, trial: int, workload: str | None, say: Callable[[str], None]) -> bool:
    """Certifies one entry of the leaderboard and records it; whether it passed.

    Raises UserError when the trial is not listed, when this machine lacks the GPU or the tools, or when the build is no
    longer the one that was measured.
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
    for finding in certification.findings:
        say(f"{finding.tool:<14}{'passed' if finding.passed else 'FAILED'}  {finding.summary}")
    say(_counters(profile))
    say(f"trial {trial} is {'certified' if certification.passed else 'NOT certified'}; see `evotune show {trial}`")
    return certification.passed


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
        # A race or an access out of bounds: whatever it was timed at, it is no correct kernel.
        database.withdraw(trial, "; ".join(f"{finding.tool}: {finding.summary}" for finding in wrong))
    if isinstance(profile, Profile):
        counters = ProfileRecord(build.key, device, selected.entry.workload, made, **vars(profile))
        database.record_profile(trial, counters, (build,))


def _counters(profile: Profile | NoProfile) -> str:
    if isinstance(profile, NoProfile):
        return f"counters      not read: {profile.reason}"
    shown = {
        "tensor pipe": profile.tensor_active_pct,
        "lanes in use": profile.warp_execution_efficiency_pct,
        "DRAM": profile.dram_throughput_pct,
        "L2": profile.l2_throughput_pct,
        "occupancy": profile.achieved_occupancy_pct,
    }
    figures = ", ".join(f"{name} {'n/a' if value is None else f'{value:.1f} %'}" for name, value in shown.items())
    return f"counters      {figures}"
