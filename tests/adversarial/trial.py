"""Run a configuration through the gates and the timing, until one of them refuses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from evotune_workers.compilers.build import BuildRequest
from evotune_workers.compilers.candidate import Candidate, WorkloadBuild
from evotune_workers.compilers.select import compiler_for
from evotune_workers.gates.gate import GateResult
from evotune_workers.gates.running import RUNNING_GATES
from evotune_workers.kernel import Kernel, Value
from evotune_workers.kernel.device import Device, cpu_device
from evotune_workers.kernel.folder import named_workload
from evotune_workers.measuring.child_session import GateFailed, Session
from evotune_workers.measuring.jobs import ConfirmJob
from evotune_workers.measuring.measurer import Measurer
from evotune_workers.measuring.timing_session import NoResult, TimingSession

from .case import Case, Refusal

FOLDER = Path(__file__).parent / "attention"
SEEDS = (42, 2, 3)
# Operations per second of 512 multiply-adds a cycle at 2 GHz, eight times those of AVX-512. It is the same on every
# machine, so that the same kernels exceed the roofline.
PEAK_OF_A_CORE = 2e12
# Both divide the small workload. On a GPU a CTA has two warps.
TILES: Mapping[str, Mapping[str, Value]] = {"cpu": {"tile_m": 16, "tile_n": 32}, "sm80": {"tile_m": 64, "tile_n": 32}}


def build_fault(kernel: Kernel, fault: str, variant: str, target: str, workload: str, **more: Value) -> Candidate:
    """Build a fault. It takes a loaded kernel, so that several threads can build at once."""
    configuration = {"fault": fault, **TILES[variant], **more}
    macros = dict(kernel.macros(kernel.variant(variant), configuration, named_workload(kernel, workload)))
    build = compiler_for(target).compile(BuildRequest(FOLDER, kernel.variant(variant), target, macros))
    return Candidate(0, configuration, (WorkloadBuild(workload, macros, build),))


def one_core() -> Device:
    """Return this CPU with one core: torch then has one thread, and the roofline is that of a fast core."""
    device = cpu_device()
    return replace(device, limits={**device.limits, "cores": 1}, peak_flops=PEAK_OF_A_CORE)


def verdict(
    session: Session, candidate: Candidate, variant: str, seeds: Sequence[int], *, timed: bool = True
) -> GateResult:
    """Return the first refusal, or the last result if no gate refuses.

    A measurer starts a fresh process after any refusal. The effects of these builds are known, so only those that end
    their process get another; else the suite would mostly import torch.
    """
    [built] = candidate.builds
    if built.build.failure is not None:
        return GateResult("build", False, built.build.failure)
    sides = {"candidate": (candidate, built)}
    try:
        with session.loaded(sides, variant, tuple(seeds)):
            results = [result for gate in RUNNING_GATES for result in session.run_gate(gate, "candidate", built)]
            if timed:
                TimingSession(session, {"candidate": built}).cold_and_warm(None)
    except NoResult:
        return results[-1]
    except GateFailed as refused:
        return refused.verdict
    return results[-1]


def confirmed(measurer: Measurer, candidate: Candidate, variant: str, seeds: Sequence[int]) -> GateResult:
    """Return the result of confirming a finalist."""
    [measurement] = measurer.run(ConfirmJob((candidate,), variant, tuple(seeds)))
    return GateResult(measurement.failed_gate or "confirm", measurement.failed_gate is None, measurement.reason)


def assert_refused(case: Case, expected: Refusal, result: GateResult) -> None:
    """Assert that the table's gate refused the case, with the table's reason."""
    found = f"{case.fault}: {result.gate}: {result.reason}"
    assert not result.passed, f"{case.fault} must be refused at {expected.gate}, it passed"
    assert result.gate in (expected.gate, *expected.earlier_gates), found
    assert result.gate != expected.gate or expected.reason in (result.reason or ""), found
