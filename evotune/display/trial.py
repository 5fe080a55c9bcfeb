"""Everything recorded of one trial, as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType

from evotune.display.findings import findings
from evotune.display.leaderboard import proof
from evotune.display.table import Fields, Table
from evotune.display.terminal import SECONDS, assignments, duration, microseconds, speedup
from evotune.planning.warm_start import origin
from evotune_workers.diagnosis.wrong_result import wrong_result

if TYPE_CHECKING:
    from evotune_db.records import BuildRecord, GateRecord, TimingRecord, TrialDetails


def print_trial(details: TrialDetails, target: Console) -> None:
    """Print the trial's outcome, origin, configuration, builds with their logs, gates, timings and other findings."""
    for part in _parts(details):
        target.print(part)


def _parts(details: TrialDetails) -> Iterator[RenderableType]:
    yield _outcome(details)
    yield _properties(details)
    yield ""
    if details.builds:
        yield _builds(details.builds)
    for build in details.builds:
        yield f"flags of build {build.key[:12]}: {' '.join(build.flags)}"
        yield f"log of build {build.key[:12]}:\n{build.log.strip() or 'empty'}\n"
    if details.gates:
        yield _gates(details.gates)
        yield from _gate_figures(details.gates)
    if details.timings:
        yield _timings(details.timings)
    for timing in details.timings:
        yield f"conditions of {timing.workload}, {timing.phase}, {timing.mode}: {assignments(timing.conditions)}"
    yield from findings(details)
    if _lacks_diagnosis(details):
        yield f"not diagnosed; where the kernel declares stages: evotune diagnose {details.trial.id}"


def _lacks_diagnosis(details: TrialDetails) -> bool:
    """Return True if the trial has a wrong result of its own that no diagnosis has traced."""
    if details.diagnoses or details.same_binary_as is not None:
        return False
    return wrong_result(details.gates, details.record.workloads) is not None


def _outcome(details: TrialDetails) -> str:
    trial = details.trial
    text = f"trial {trial.id}: {trial.state}" + (", not run" if trial.state == "built" else "")
    if trial.failed_gate:
        return f"{text} at the gate {trial.failed_gate}: {trial.reason}"
    return text + (f": {trial.reason}" if trial.reason else "")


def _properties(details: TrialDetails) -> Fields:
    trial, record, result = details.trial, details.record, Fields()
    result.add("kernel", f"{record.kernel.name} ({record.kernel.source_hash[:12]})")
    result.add("workloads", ", ".join(record.workloads))
    result.add("target", record.target)
    result.add("device", f"{details.device.name} ({details.device.uuid})" if details.device else "none")
    result.add("search", f"{details.search}, number {trial.number} of sampler {record.sampler}")
    if (source := origin(details)) is not None:
        where = f"{source.workload} on {source.device}"
        changed = f", {source.changed} of its parameters changed to fit here" if source.changed else ""
        result.add("warm start", f"from trial {source.trial} of search {source.search}, {where}{changed}")
    result.add("proposed", details.proposed.strftime(SECONDS))
    result.add("finished", details.finished.strftime(SECONDS) if details.finished else "not yet")
    result.add("configuration", assignments(trial.configuration))
    for entry in details.leaderboard:
        place = (
            f"rank {entry.rank} in {entry.workload}, {speedup(entry.speedup, entry.speedup_low, entry.speedup_high)}"
        )
        result.add("leaderboard", f"{place} over {entry.baseline}, {proof(entry)}")
    for outcome in details.unreliable_outcomes:
        state = f"failed at {outcome.failed_gate}" if outcome.failed_gate else outcome.state
        result.add("unreliable", f"{state} on {outcome.worker}, given up: {outcome.reason}")
    if trial.reused_from is not None:
        other = f"trial {trial.reused_from}, with its gates and timings"
        result.add("reused from", f"{other}: evotune show {trial.reused_from}")
    elif details.same_binary_as is not None:
        result.add("same binary as", f"trial {details.same_binary_as}")
    return result


def _builds(builds: tuple[BuildRecord, ...]) -> Table:
    result = Table("build", "result", ">time", "resources", "compiler", title="builds")
    for build in builds:
        outcome = "built" if build.succeeded else "failed"
        result.add_row(build.key[:12], outcome, duration(build.seconds), _resources(build), build.compiler)
    return result


def _resources(build: BuildRecord) -> str:
    named = {
        "registers": build.registers,
        "spill_stores": build.spill_stores,
        "spill_loads": build.spill_loads,
        "stack_bytes": build.stack_bytes,
        "shared_bytes": build.shared_bytes,
    }
    return assignments({**{name: value for name, value in named.items() if value is not None}, **build.resources})


def _gates(gates: tuple[GateRecord, ...]) -> Table:
    columns = ("gate", "workload", "inputs", "result", ">time", ">max error", ">RMS error")
    result = Table(*columns, title="gates", keys=3)
    for gate in gates:
        result.add_row(
            gate.gate,
            gate.workload or "",
            _inputs(gate),
            "passed" if gate.passed else f"failed: {gate.reason}",
            "" if gate.seconds is None else duration(gate.seconds),
            _against_limit(gate.max_error, gate.max_limit),
            _against_limit(gate.rms_error, gate.rms_limit),
        )
    return result


def _gate_figures(gates: tuple[GateRecord, ...]) -> Iterator[str]:
    """Yield the figures of each gate that has some in a line of its own; they are too long for a table."""
    with_figures = [gate for gate in gates if gate.figures]
    for gate in with_figures:
        where = ", ".join(filter(None, (gate.gate, gate.workload, _inputs(gate))))
        yield f"figures of {where}: {assignments(gate.figures)}"
    if with_figures:
        yield ""


def _inputs(gate: GateRecord) -> str:
    return " ".join(filter(None, (gate.distribution, "" if gate.seed is None else f"seed {gate.seed}")))


def _against_limit(error: float | None, limit: float | None) -> str:
    if error is None:
        return ""
    return f"{error:.2e}" if limit is None else f"{error:.2e} of {limit:.2e}"


def _timings(timings: tuple[TimingRecord, ...]) -> Table:
    columns = ("workload", "phase", "mode", ">median", ">p50", ">p90", ">p99", ">speed-up")
    result = Table(*columns, ">baseline", "baseline's name", "blocks", title="timings", keys=3)
    for timing in timings:
        result.add_row(*_timing_cells(timing))
    return result


def _timing_cells(timing: TimingRecord) -> list[str]:
    times = (timing.median_us, timing.p50_us, timing.p90_us, timing.p99_us)
    censored = ", stopped early" if timing.censored else ""
    return [
        timing.workload,
        timing.phase,
        timing.mode,
        *(microseconds(time) for time in times),
        speedup(timing.speedup, timing.speedup_low, timing.speedup_high),
        microseconds(timing.baseline_us),
        timing.baseline,
        f"{timing.blocks}, {timing.dropped_blocks} dropped{censored}",
    ]
