"""Trace the wrong result of a stored trial to a stage of the kernel."""

from __future__ import annotations

import contextlib

from evotune.errors import UserError
from evotune.planning.seeds import search_seeds
from evotune.search.outcomes import diagnosis_records
from evotune.trials.device import device_of_target
from evotune.trials.rebuild import rebuilt
from evotune.trials.select import folder_of
from evotune_db import Database
from evotune_db.records import TrialDetails
from evotune_workers.compilers.builder import StageBuildJob, build_stages
from evotune_workers.diagnosis.wrong_result import COMPARING_GATES, WrongResult, wrong_result
from evotune_workers.kernel.folder import load_kernel
from evotune_workers.measuring.jobs import DiagnoseJob
from evotune_workers.measuring.measurer import Measurer
from evotune_workers.system.machine_lock import building


def diagnose_trial(database: Database, trial: int) -> TrialDetails:
    """Diagnose a trial, replace its recorded diagnosis, and return everything that is recorded of it.

    Raises UserError when the trial has no wrong result, when its kernel has no stages, or when this machine lacks its
    device. Raises it also when the build is no longer the one that was measured.
    """
    details = database.trial(trial)
    wrong, device, folder = _wrong(details), device_of_target(details.record.target, "diagnosed"), folder_of(details)
    variant = load_kernel(folder).variant_for(details.record.target)
    if not variant.stages:
        raise UserError(f"a kernel must declare stages to be diagnosed, the variant {variant.name} has none")
    # As in a search, a build waits for a measurement on a CPU.
    with building() if device.kind == "cpu" else contextlib.nullcontext():
        candidate = rebuilt(details, folder, variant.name, wrong.built_for)
        [built] = candidate.builds
        stages = build_stages(folder, StageBuildJob(variant.name, details.record.target, built.workload, built.macros))
    measurer = Measurer(folder, device)
    try:
        seeds = search_seeds(details.record.seed)
        diagnosis = measurer.run(DiagnoseJob(candidate, wrong, stages, variant.name, seeds))
    finally:
        measurer.close()
    database.record_diagnosis(trial, diagnosis_records(diagnosis))
    return database.trial(trial)


def _wrong(details: TrialDetails) -> WrongResult:
    trial = details.trial
    if details.same_binary_as is not None:
        other = details.same_binary_as
        raise UserError(f"trial {trial.id} has the binary of trial {other}, and its evidence: evotune diagnose {other}")
    wrong = wrong_result(details.gates, details.record.workloads)
    if wrong is None:
        outcome = f"{trial.state} at {trial.failed_gate}" if trial.failed_gate else trial.state
        gates = ", ".join(COMPARING_GATES)
        raise UserError(f"a trial to diagnose must have a wrong result ({gates}), trial {trial.id} is {outcome}")
    return wrong
