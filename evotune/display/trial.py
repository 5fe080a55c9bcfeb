"""Everything recorded of one trial, as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.table import Table

from evotune.display.findings import findings
from evotune.display.tables import proof, table
from evotune.display.terminal import assignments, duration, microseconds, speedup
from evotune.planning.warm_start import origin
from evotune_workers.diagnosis.wrong_result import wrong_result

if TYPE_CHECKING:
    from evotune_db.records import BuildRecord, GateRecord, TimingRecord, TrialDetails

TIME = "%Y-%m-%d %H:%M:%S"


def print_trial(details: TrialDetails, target: Console) -> None:
    """Prints the trial's outcome, place, configuration, builds with their logs, gates, timings and other findings."""
    for part in _parts(details):
        target.print(part)


def _parts(details: TrialDetails) -> Iterator[RenderableType]:
    yield _outcome(details)
    yield _facts(details)
    if details.builds:
        yield _builds(details.builds)
    for build in details.builds:
        yield f"log of build {build.key[:12]}:\n{build.log.strip() or 'empty'}\n"
    if details.gates:
        yield _gates(details.gates)
    if details.timings:
        yield _timings(details.timings)
    for timing in details.timings:
        yield f"conditions of {timing.workload}, {timing.phase}, {timing.mode}: {assignments(timing.conditions)}"
    yield from findings(details)
    if _lacks_diagnosis(details):
        yield f"not diagnosed; where the kernel declares stages: evotune diagnose {details.trial.id}"


def _lacks_diagnosis(details: TrialDetails) -> bool:
    """Whether there is a wrong result of its own that was not traced."""
    if details.diagnoses or details.same_binary_as is not None:
        return False
    return wrong_result(details.gates, details.record.workloads) is not None


def _outcome(details: TrialDetails) -> str:
    trial = details.trial
    text = f"trial {trial.id}: {trial.state}" + (", not run" if trial.state == "built" else "")
    if trial.failed_gate:
        return f"{text} at the gate {trial.failed_gate}: {trial.reason}"
    return text + (f": {trial.reason}" if trial.reason else "")


def _facts(details: TrialDetails) -> Table:
    record = details.record
    facts = Table.grid(padding=(0, 2))
    facts.add_row("kernel", f"{record.kernel.name} ({record.kernel.source_hash[:12]})")
    facts.add_row("workloads", ", ".join(record.workloads))
    facts.add_row("target", record.target)
    facts.add_row("device", f"{details.device.name} ({details.device.uuid})" if details.device else "none")
    facts.add_row("search", f"{details.search}, number {details.trial.number} of sampler {record.sampler}")
    if (starting_point := origin(details)) is not None:
        where = f"{starting_point.workload} on {starting_point.device}"
        changed = f", {starting_point.changed} of its parameters changed to fit here" if starting_point.changed else ""
        facts.add_row(
            "warm start", f"from trial {starting_point.trial} of search {starting_point.search}, {where}{changed}"
        )
    facts.add_row("proposed", details.proposed.strftime(TIME))
    facts.add_row("finished", details.finished.strftime(TIME) if details.finished else "not yet")
    facts.add_row("configuration", assignments(details.trial.configuration))
    for entry in details.leaderboard:
        place = (
            f"rank {entry.rank} in {entry.workload}, {speedup(entry.speedup, entry.speedup_low, entry.speedup_high)}"
        )
        facts.add_row("leaderboard", f"{place} over {entry.baseline}, {proof(entry)}")
    for given_up in details.unreliable_outcomes:
        came_to = f"failed at {given_up.failed_gate}" if given_up.failed_gate else given_up.state
        facts.add_row("suspect", f"{came_to} on {given_up.worker}, given up: {given_up.reason}")
    reused_from = details.trial.reused_from
    if reused_from is not None:
        facts.add_row("reused from", f"trial {reused_from}, with its gates and timings: evotune show {reused_from}")
    elif details.same_binary_as is not None:
        facts.add_row("same binary as", f"trial {details.same_binary_as}")
    return facts


def _builds(builds: tuple[BuildRecord, ...]) -> Table:
    result = table("build", "result", ">time", "resources", "compiler", "flags", title="builds")
    for build in builds:
        outcome = "built" if build.succeeded else "failed"
        resources = _figures(build)
        result.add_row(
            build.key[:12], outcome, duration(build.seconds), resources, build.compiler, " ".join(build.flags)
        )
    return result


def _figures(build: BuildRecord) -> str:
    named = {
        "registers": build.registers,
        "spill_stores": build.spill_stores,
        "spill_loads": build.spill_loads,
        "stack_bytes": build.stack_bytes,
        "shared_bytes": build.shared_bytes,
    }
    return assignments({**{name: value for name, value in named.items() if value is not None}, **build.resources})


def _gates(gates: tuple[GateRecord, ...]) -> Table:
    result = table(
        "gate", "workload", "inputs", "result", ">max error", ">RMS error", ">time", "figures", title="gates"
    )
    for gate in gates:
        seed = "" if gate.seed is None else f" seed {gate.seed}"
        result.add_row(
            gate.gate,
            gate.workload or "",
            f"{gate.distribution or ''}{seed}",
            "passed" if gate.passed else f"failed: {gate.reason}",
            _against_limit(gate.max_error, gate.max_limit),
            _against_limit(gate.rms_error, gate.rms_limit),
            "" if gate.seconds is None else duration(gate.seconds),
            assignments(gate.figures),
        )
    return result


def _against_limit(error: float | None, limit: float | None) -> str:
    if error is None:
        return ""
    return f"{error:.2e}" if limit is None else f"{error:.2e} of {limit:.2e}"


def _timings(timings: tuple[TimingRecord, ...]) -> Table:
    columns = ("workload", "phase", "mode", ">median", ">p50", ">p90", ">p99", "speed-up", ">baseline", "", "blocks")
    result = table(*columns, title="timings")
    for timing in timings:
        result.add_row(*_timing_cells(timing))
    return result


def _timing_cells(timing: TimingRecord) -> list[Any]:
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
