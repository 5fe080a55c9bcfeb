"""launch: the entry function runs, reports success and is not hopelessly slow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .gate import BenchFacts, Finding, Gate, GateResult

if TYPE_CHECKING:
    from ..bench import Bench

# Beyond this, the later gates (hundreds of launches) would cost more than any such configuration can be worth.
SLOWEST_FACTOR = 30.0
# So that the first call's page faults at tiny workloads are not taken for slowness.
SLOWEST_FREE_US = 20_000.0


class LaunchGate(Gate):
    """The first launches of a build, with their status and time."""

    name = "launch"
    # An endless kernel holds its device for this long, so it is short; the baseline is ready before it begins.
    time_limit_seconds = 3.0

    def limit_seconds(self, baseline_us: float) -> float:
        """Long enough for two launches that are just not too slow."""
        return self.time_limit_seconds + 2e-6 * (SLOWEST_FREE_US + SLOWEST_FACTOR * baseline_us)

    def measure(self, bench: Bench) -> Iterator[Finding]:
        """Two launches (the second is the warm one) beside one of the pinned baseline."""
        example = bench.example(bench.workload, bench.distributions[0], bench.seeds[0])
        status, kernel_us = "success", 0.0
        for _ in range(2):
            started = time.perf_counter_ns()
            status = bench.try_launch(example.inputs)
            kernel_us = (time.perf_counter_ns() - started) / 1e3
        yield Finding(
            {"status": status, "kernel_us": kernel_us, "baseline_us": example.baseline_us}, bench.workload.name
        )

    def judge(self, finding: Finding, facts: BenchFacts) -> GateResult:
        """Status is success and the time within 30x the baseline's."""
        status = finding.figures["status"]
        if status != "success":
            return self.verdict(finding, f"a launch must succeed, got: {status}")
        taken, baseline = finding.figures["kernel_us"], finding.figures["baseline_us"]
        if not taken <= SLOWEST_FREE_US + SLOWEST_FACTOR * baseline:
            return self.verdict(
                finding, f"a launch must take at most {SLOWEST_FACTOR:.0f}x the baseline, got {taken / baseline:.0f}x"
            )
        return self.verdict(finding, None)
