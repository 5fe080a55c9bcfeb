"""`evotune certify`: a trial's build under NVIDIA's tools, and what they find in the record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from evotune.errors import UserError
from evotune.outcomes import build_records, device_record
from evotune.seeds import confirmation_seeds
from evotune.selection import Selected, select
from evotune_db import Database
from evotune_db.findings import CertificationRecord, CheckRecord, ProfileRecord
from evotune_db.records import DeviceRecord, LeaderboardFilter
from evotune_workers.builder import BuildJob, build_candidate
from evotune_workers.certify.certifier import CertifyJob, certify
from evotune_workers.certify.findings import Certification, NoProfile, Profile
from evotune_workers.compilers.build import ToolchainError
from evotune_workers.device import Device, local_devices
from evotune_workers.jobs import Candidate
from evotune_workers.kernel import Variant
from evotune_workers.kernel_folder import load_kernel


def certify_trial(database: Database, trial: int, workload: str | None, say: Callable[[str], None]) -> bool:
    """Certifies one entry of the leaderboard and records it; whether it passed.

    Raises UserError when the trial is not listed, when this machine lacks the GPU or the tools, or when the build is no
    longer the one that was measured.
    """
    selected = select(database, LeaderboardFilter(trial=trial, workload=workload))
    device = _device(selected)
    variant = load_kernel(selected.folder).variant_for(selected.entry.target)
    candidate = _rebuilt(selected, variant)
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


def _device(selected: Selected) -> Device:
    measured = selected.entry
    devices = local_devices()
    for device in devices[:1]:
        if device.name == measured.device:
            return device
    has = devices[0].name if devices else "no GPU"
    raise UserError(
        f"a build must be certified on the kind of GPU that measured it ({measured.device}), this machine has {has}:"
        " run evotune certify there"
    )


def _rebuilt(selected: Selected, variant: Variant) -> Candidate:
    """The same build again, out of the cache if it is still there; UserError when it comes out differently."""
    details, entry = selected.details, selected.entry
    job = BuildJob(
        details.trial.number, dict(details.trial.configuration), variant.name, entry.target, (entry.workload,)
    )
    try:
        candidate = build_candidate(selected.folder, job)
    except ToolchainError as error:
        raise UserError(str(error)) from error
    known = {build.binary_hash for build in details.builds}
    if candidate.builds[0].build.binary_hash not in known:
        raise UserError(
            f"the build must be the one that was measured, {selected.folder} or the compiler has changed since trial"
            f" {entry.trial}: restore them, or search again"
        )
    return candidate


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
