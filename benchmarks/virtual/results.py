"""What a simulated worker hands back: as much as a real one, with the durations that were recorded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evotune_workers.compilers.build import Build, Resources
from evotune_workers.compilers.builder import BuildJob
from evotune_workers.compilers.candidate import Candidate, WorkloadBuild
from evotune_workers.gates.gate import GateResult
from evotune_workers.measuring.jobs import Measurement
from evotune_workers.timing.protocol import Timing

FILE = Path(__file__).parent / "durations.json"
# Checks of a trial that passes, blocks and sides of its timings, as attention_fwd has them on a GPU.
GATES, BLOCKS = 35, 12
BASELINE, SIDES = "sdpa_cudnn", ("candidate", "sdpa_flash", "sdpa_cudnn")
BASELINE_US = 9.6


@dataclass(frozen=True)
class Recorded:
    """One trial of the recorded search."""

    build_seconds: float
    measure_seconds: float
    failed_gate: str | None
    speedup: float | None
    censored: bool


@dataclass(frozen=True)
class Durations:
    """A recorded search, gone through again and again."""

    name: str
    device: str
    trials: tuple[Recorded, ...]

    @classmethod
    def load(cls, name: str) -> Durations:
        """Of the file's searches the one of that name."""
        recorded = json.loads(FILE.read_text())[name]
        return cls(name, recorded["device"], tuple(Recorded(*trial) for trial in recorded["trials"]))

    @classmethod
    def names(cls) -> list[str]:
        return list(json.loads(FILE.read_text()))

    def of(self, number: int) -> Recorded:
        """Of the trial of that number."""
        return self.trials[number % len(self.trials)]


def candidate(job: BuildJob, one: Recorded) -> Candidate:
    """A build of its own binary."""
    key, resources = f"{job.number:064d}", Resources(128, 0, 0, 0, 49152)
    log = "ptxas info    : Used 128 registers" * 10
    build = Build(key, job.target, ("-O3",), "nvcc 13.0", one.build_seconds, log, None, b"", key, resources)
    return Candidate(job.number, job.configuration, (WorkloadBuild(job.workloads[0], {}, build),))


def measurement(measured: Candidate, one: Recorded) -> Measurement:
    """As many checks and samples as a real trial has, of one that passed or failed as the recorded one did."""
    workload, key, seconds = measured.builds[0].workload, measured.builds[0].build.key, one.measure_seconds
    gates = tuple(_gate(workload, place) for place in range(GATES))
    if one.speedup is None:
        return Measurement(measured.number, gates, (), one.failed_gate, "as it was recorded", seconds)
    cold = _timing(key, workload, "cold", one.speedup, one.censored)
    timings = (cold,) if one.censored else (cold, _timing(key, workload, "warm", one.speedup, False))
    return Measurement(measured.number, gates, timings, None, None, seconds)


def _gate(workload: str, place: int) -> GateResult:
    return GateResult(
        "numerics", True, None, workload, "peaky", place, 1e-3, 2e-3, 1e-4, 2e-4, 0.01, {"worst_group": place}
    )


def _timing(build_key: str, workload: str, mode: Literal["cold", "warm"], speedup: float, censored: bool) -> Timing:
    median_us = BASELINE_US / speedup
    return Timing(
        workload=workload,
        mode=mode,
        build_key=build_key,
        baseline=BASELINE,
        median_us=median_us,
        p50_us=median_us,
        p90_us=1.01 * median_us,
        p99_us=1.02 * median_us,
        baseline_us=BASELINE_US,
        speedup=speedup,
        speedup_low=0.99 * speedup,
        speedup_high=1.01 * speedup,
        blocks=BLOCKS,
        dropped_blocks=0,
        censored=censored,
        samples={side: [(median_us, median_us)] * BLOCKS for side in SIDES},
        conditions={"clock_mhz": [1980] * BLOCKS, "power_w": [400.0] * BLOCKS, "buffer_sets": 200},
    )
