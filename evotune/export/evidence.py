"""The evidence for an exported kernel, from a trial's record: a timing, the build that was timed, and its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evotune_db.records import BuildRecord, DeviceRecord, LeaderboardEntry, TimingRecord, TrialDetails
from evotune_workers.compilers.build import BuildRequest, build_key
from evotune_workers.kernel.contract import Kernel, Value, Variant, Workload
from evotune_workers.kernel.folder import load_kernel, named_workload


class ExportError(ValueError):
    """The trial cannot be exported; the message is one line for the user."""


@dataclass(frozen=True)
class Evidence:
    """The inputs of an export; `macros`: those of the timed build, as text."""

    details: TrialDetails
    entry: LeaderboardEntry
    folder: Path
    kernel: Kernel
    workload: Workload
    variant: Variant
    device: DeviceRecord
    timing: TimingRecord
    build: BuildRecord
    macros: Mapping[str, str]


def gather(details: TrialDetails, entry: LeaderboardEntry, folder: Path) -> Evidence:
    """Gather the evidence for one leaderboard entry.

    Raises ExportError if the record is incomplete or the sources in the folder have changed since the measurement, and
    KernelError if the folder does not load.
    """
    kernel = load_kernel(folder)
    timing = _timing(details, entry)
    build = _build(details, timing)
    if details.device is None:
        raise ExportError(
            f"a trial must have a device on record to be exported, trial {entry.trial} has none; export another trial"
        )
    evidence = Evidence(
        details=details,
        entry=entry,
        folder=folder,
        kernel=kernel,
        workload=named_workload(kernel, entry.workload),
        variant=_variant(kernel, entry),
        device=details.device,
        timing=timing,
        build=build,
        macros=dict(flag[2:].split("=", 1) for flag in build.flags if flag.startswith("-D")),
    )
    _check_sources(evidence)
    return evidence


def _variant(kernel: Kernel, entry: LeaderboardEntry) -> Variant:
    try:
        return kernel.variant_for(entry.target)
    except ValueError as error:
        raise ExportError(f"trial {entry.trial} used a variant that {kernel.name} no longer has: {error}") from error


def _timing(details: TrialDetails, entry: LeaderboardEntry) -> TimingRecord:
    """Return the timing that the leaderboard shows, so that all figures come from one measurement."""
    shown = (entry.workload, entry.median_us, entry.speedup)
    for timing in details.timings:
        if not timing.censored and (timing.workload, timing.median_us, timing.speedup) == shown:
            return timing
    raise ExportError(
        f"a trial must have a complete timing at {entry.workload} to be exported, trial {entry.trial} has none;"
        " export another trial"
    )


def _build(details: TrialDetails, timing: TimingRecord) -> BuildRecord:
    for build in details.builds:
        if build.key == timing.build_key:
            return build
    raise ExportError(
        f"the timed build must be on record, trial {details.trial.id} lacks {timing.build_key}; export another trial"
    )


def _check_sources(evidence: Evidence) -> None:
    """Raise ExportError if the sources have changed: a build's key is a hash of sources, flags, target and compiler."""
    build, macros = evidence.build, dict[str, Value](evidence.macros)
    request = BuildRequest(evidence.folder, evidence.variant, build.target, macros)
    try:
        key = build_key(request, build.flags, build.compiler)
    except OSError as error:
        raise ExportError(f"the kernel's sources must be readable, got {error.filename}: {error.strerror}") from error
    if key != build.key:
        raise ExportError(
            f"the sources must be the measured ones, {evidence.folder} has changed since trial {evidence.entry.trial};"
            " restore them, or search again"
        )
