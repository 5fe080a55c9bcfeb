"""Conversion of a worker's results into database records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from evotune_db.records import BuildRecord, DeviceRecord, DiagnosisRecord, OutcomeRecord
from evotune_workers.compilers.build import Build
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.diagnosis.finding import Diagnosis, StageFinding
from evotune_workers.diagnosis.wrong_result import WrongResult
from evotune_workers.gates.gate import GateResult
from evotune_workers.gates.resources import judge_resources
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import Measurement
from evotune_workers.timing.summary import Timing


def device_record(device: Device) -> DeviceRecord:
    """Return the record of a device, with its limits beside its other properties."""
    kind: Literal["cpu", "cuda"] = "cpu" if device.kind == "cpu" else "cuda"
    return DeviceRecord(device.uuid, device.name, kind, {**device.properties, "limits": dict(device.limits)})


def build_records(candidate: Candidate) -> tuple[BuildRecord, ...]:
    """Return the records of a candidate's distinct builds, the first workload's first."""
    builds = {built.build.key: built.build for built in candidate.builds}
    return tuple(_build_record(build) for build in builds.values())


def refused_build(candidate: Candidate, limits: Mapping[str, int]) -> OutcomeRecord | None:
    """Return the outcome of a candidate that does not build or uses too much; None for one that can be run."""
    gates = build_gates(candidate, limits)
    failure = next((gate for gate in gates if not gate.passed), None)
    if failure is None:
        return None
    return OutcomeRecord("failed", failure.gate, failure.reason, builds=build_records(candidate), gates=gates)


def build_gates(candidate: Candidate, limits: Mapping[str, int]) -> tuple[GateResult, ...]:
    """Return the verdicts of `build` and, where that passed, `resources`, for every workload."""
    gates: list[GateResult] = []
    for built in candidate.builds:
        failure, seconds = built.build.failure, built.build.seconds
        gates.append(GateResult("build", failure is None, failure, built.workload, seconds=seconds))
        if failure is None:
            gates.append(judge_resources(built, limits))
    return tuple(gates)


def measured_outcome(
    candidate: Candidate, measurement: Measurement, device: Device, limits: Mapping[str, int]
) -> OutcomeRecord:
    """Return the outcome of a candidate that was built and measured."""
    return OutcomeRecord(
        state="failed" if measurement.failed_gate else "passed",
        failed_gate=measurement.failed_gate,
        reason=measurement.reason,
        objective=None if measurement.failed_gate else objective(measurement.timings),
        device=device_record(device),
        builds=build_records(candidate),
        gates=(*build_gates(candidate, limits), *measurement.gates),
        timings=measurement.timings,
    )


def objective(timings: Sequence[Timing]) -> float:
    """Return the value to minimise: the geometric mean over workloads of candidate / fastest baseline time (cold)."""
    logs = [-math.log(timing.speedup) for timing in timings if timing.mode == "cold"]
    return math.exp(sum(logs) / len(logs))


def diagnosis_records(diagnosis: Diagnosis) -> tuple[DiagnosisRecord, ...]:
    """Return the records of a diagnosis, one for each stage."""
    return tuple(_diagnosis_record(diagnosis.wrong, finding) for finding in diagnosis.stages)


def _diagnosis_record(wrong: WrongResult, finding: StageFinding) -> DiagnosisRecord:
    found = finding.compared
    return DiagnosisRecord(
        workload=finding.workload,
        stage=finding.stage,
        passed=finding.passed,
        max_error=found.max_error if found else None,
        rms_error=found.rms_error if found else None,
        limit=found.limit if found else None,
        wrong=found.wrong if found else 0,
        first_wrong=found.first_wrong if found else None,
        tile_map=found.tile_map if found else "",
        distribution=wrong.distribution,
        seed=wrong.seed,
        reason=finding.reason,
    )


def _build_record(build: Build) -> BuildRecord:
    resources = build.resources
    return BuildRecord(
        key=build.key,
        target=build.target,
        flags=build.flags,
        compiler=build.compiler,
        seconds=build.seconds,
        succeeded=build.failure is None,
        log=build.log,
        binary_hash=build.binary_hash,
        registers=resources.registers if resources else None,
        spill_stores=resources.spill_stores if resources else None,
        spill_loads=resources.spill_loads if resources else None,
        stack_bytes=resources.stack_bytes if resources else None,
        shared_bytes=resources.shared_bytes if resources else None,
    )
