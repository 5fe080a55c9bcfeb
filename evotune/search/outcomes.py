"""From what a worker returns to what the record stores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from evotune_db.records import BuildRecord, DeviceRecord, DiagnosisRecord, GateRecord, OutcomeRecord, TimingRecord
from evotune_db.schema.column_types import finite
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
    """A device as the record keeps it: its limits beside its other facts."""
    kind: Literal["cpu", "cuda"] = "cpu" if device.kind == "cpu" else "cuda"
    return DeviceRecord(device.uuid, device.name, kind, {**device.properties, "limits": dict(device.limits)})


def build_records(candidate: Candidate) -> tuple[BuildRecord, ...]:
    """The distinct builds of a candidate, the first workload's first."""
    builds = {built.build.key: built.build for built in candidate.builds}
    return tuple(_build_record(build) for build in builds.values())


def refused_build(candidate: Candidate, limits: Mapping[str, int]) -> OutcomeRecord | None:
    """The outcome of a candidate that fails before it is run: it does not build, or uses too much; else None."""
    gates = build_gates(candidate, limits)
    failure = next((gate for gate in gates if not gate.passed), None)
    if failure is None:
        return None
    return OutcomeRecord("failed", failure.gate, failure.reason, builds=build_records(candidate), gates=gates)


def build_gates(candidate: Candidate, limits: Mapping[str, int]) -> tuple[GateRecord, ...]:
    """The verdicts of `build` and, where that passed, `resources`, for every workload."""
    gates: list[GateRecord] = []
    for built in candidate.builds:
        failure, seconds = built.build.failure, built.build.seconds
        gates.append(GateRecord("build", failure is None, failure, built.workload, seconds=seconds))
        if failure is None:
            gates += gate_records([judge_resources(built, limits)])
    return tuple(gates)


def measured(
    candidate: Candidate, measurement: Measurement, device: Device, limits: Mapping[str, int]
) -> OutcomeRecord:
    """The outcome of a candidate that was built and measured."""
    return OutcomeRecord(
        state="failed" if measurement.failed_gate else "passed",
        failed_gate=measurement.failed_gate,
        reason=measurement.reason,
        objective=None if measurement.failed_gate else objective(measurement.timings),
        device=device_record(device),
        builds=build_records(candidate),
        gates=(*build_gates(candidate, limits), *gate_records(measurement.gates)),
        timings=timing_records(candidate, measurement.timings, "search"),
    )


def objective(timings: Sequence[Timing]) -> float:
    """What a sampler minimises: geometric mean over workloads of candidate time / fastest baseline's time (cold)."""
    logs = [-math.log(timing.speedup) for timing in timings if timing.mode == "cold"]
    return math.exp(sum(logs) / len(logs))


def gate_records(results: Sequence[GateResult]) -> tuple[GateRecord, ...]:
    """Verdicts as the record keeps them."""
    return tuple(
        GateRecord(
            gate=result.gate,
            passed=result.passed,
            reason=result.reason,
            workload=result.workload,
            distribution=result.distribution,
            seed=result.seed,
            max_error=finite(result.max_error),
            max_limit=finite(result.max_limit),
            rms_error=finite(result.rms_error),
            rms_limit=finite(result.rms_limit),
            seconds=result.seconds,
            figures=_json(result.figures),
        )
        for result in results
    )


def timing_records(
    candidate: Candidate, timings: Sequence[Timing], phase: Literal["search", "confirm"]
) -> tuple[TimingRecord, ...]:
    """Timings as the record keeps them, each with the build that was timed."""
    keys = {built.workload: built.build.key for built in candidate.builds}
    return tuple(
        TimingRecord(
            workload=timing.workload,
            phase=phase,
            mode=timing.mode,
            build_key=keys[timing.workload],
            baseline=timing.baseline,
            median_us=timing.median_us,
            p50_us=timing.p50_us,
            p90_us=timing.p90_us,
            p99_us=timing.p99_us,
            baseline_us=timing.baseline_us,
            speedup=timing.speedup,
            speedup_low=timing.speedup_low,
            speedup_high=timing.speedup_high,
            blocks=timing.blocks,
            dropped_blocks=timing.dropped_blocks,
            censored=timing.censored,
            samples={side: [list(pair) for pair in pairs] for side, pairs in timing.samples.items()},
            conditions=_json(timing.conditions),
        )
        for timing in timings
    )


def diagnosis_records(diagnosis: Diagnosis) -> tuple[DiagnosisRecord, ...]:
    """A diagnosis as the record keeps it."""
    return tuple(_diagnosis_record(diagnosis.wrong, finding) for finding in diagnosis.stages)


def _diagnosis_record(wrong: WrongResult, finding: StageFinding) -> DiagnosisRecord:
    found = finding.compared
    return DiagnosisRecord(
        workload=finding.workload,
        stage=finding.stage,
        passed=finding.passed,
        max_error=finite(found.max_error) if found else None,
        rms_error=finite(found.rms_error) if found else None,
        limit=finite(found.limit) if found else None,
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


# Most of what is recorded is of these types, of which JSON has all values.
AS_IT_IS = frozenset((int, str, bool, type(None)))


def _json(value: Any) -> Any:
    """The same figures with NaN and infinities as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: item if type(item) in AS_IT_IS else _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) in AS_IT_IS else _json(item) for item in value]
    return value
