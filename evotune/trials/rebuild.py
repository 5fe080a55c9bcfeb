"""Rebuild a stored trial, to examine it more closely than a search does."""

from __future__ import annotations

from pathlib import Path

from evotune.errors import UserError
from evotune_db.records import TrialDetails
from evotune_workers.compilers.build import ToolchainError
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate


def rebuilt(details: TrialDetails, folder: Path, variant: str, workload: str) -> Candidate:
    """Build a trial again, or take its build from the cache; UserError when the binary is not the one measured."""
    trial = details.trial
    job = BuildJob(trial.number, dict(trial.configuration), variant, details.record.target, (workload,))
    try:
        candidate = build_candidate(folder, job)
    except ToolchainError as error:
        raise UserError(str(error)) from error
    known = {build.binary_hash for build in details.builds}
    if candidate.builds[0].build.binary_hash not in known:
        raise UserError(
            f"the build must be the one that was measured, {folder} or the compiler has changed since trial {trial.id}:"
            " restore them, or search again"
        )
    return candidate
