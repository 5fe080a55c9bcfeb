"""A configuration's way through the gates and the timing, until something refuses it."""

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
# Operations per second of 1,024 multiply-adds a cycle at 2 GHz: the same on every machine, so that the same kernels are
# faster than the roofline.
PEAK_OF_A_CORE = 4e12
# Both divide the small workload. On a GPU: two warps a block.
TILES: Mapping[str, Mapping[str, Value]] = {"cpu": {"tile_m": 16, "tile_n": 32}, "sm80": {"tile_m": 64, "tile_n": 32}}


def build_fault(kernel: Kernel, fault: str, variant: str, target: str, workload: str, **more: Value) -> Candidate:
    """Build a fault. Take a loaded kernel, so that several threads can build at once."""
    configuration = {"fault": fault, **TILES[variant], **more}
    macros = dict(kernel.macros(kernel.variant(variant), configuration, named_workload(kernel, workload)))
    build = compiler_for(target).compile(BuildRequest(FOLDER, kernel.variant(variant), target, macros))
    return Candidate(0, configuration, (WorkloadBuild(workload, macros, build),))


def one_core() -> Device:
    """Return the machine's CPU as one with one core: torch has one thread, and the roofline is a fast core's."""
    device = cpu_device()
    return replace(device, limits={**device.limits, "cores": 1}, peak_flops=PEAK_OF_A_CORE)


def verdict(
    session: Session, candidate: Candidate, variant: str, seeds: Sequence[int], *, timed: bool = True
) -> GateResult:
    """Return the first refusal, or the last result of all.

    A measurer gives the next build a fresh process after any refusal. These builds are ours, and what they do to theirs
    is known: only those that end it get another, or the suite would do little else than import torch.
    """
    [built] = candidate.builds
    if built.build.failure is not None:
        return GateResult("build", False, built.build.failure)
    side = {"candidate": (candidate, built)}
    try:
        with session.loaded(side, variant, tuple(seeds)):
            results = [result for gate in RUNNING_GATES for result in session.run_gate(gate, "candidate", built)]
            if timed:
                TimingSession(session, {"candidate": built}).cold_and_warm(None)
    except NoResult:
        return results[-1]
    except GateFailed as refused:
        return refused.verdict
    return results[-1]


def confirmed(measurer: Measurer, candidate: Candidate, variant: str, seeds: Sequence[int]) -> GateResult:
    """Confirm a finalist."""
    [measurement] = measurer.run(ConfirmJob((candidate,), variant, tuple(seeds)))
    return GateResult(measurement.failed_gate or "confirm", measurement.failed_gate is None, measurement.reason)


def assert_refused(case: Case, expected: Refusal, met: GateResult) -> None:
    """By the gate of the table, and with its reason."""
    told = f"{case.fault}: {met.gate}: {met.reason}"
    assert not met.passed, f"{case.fault} must be refused at {expected.gate}, it passed"
    assert met.gate in (expected.gate, *expected.sooner), told
    assert met.gate != expected.gate or expected.told in (met.reason or ""), told
