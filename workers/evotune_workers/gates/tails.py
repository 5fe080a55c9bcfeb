"""tails: sizes that divide by no tile, other batch sizes, other flags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evotune_workers.gates.error_limits import judge_errors
from evotune_workers.gates.gate import BenchFacts, Finding, Gate, GateResult

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import Bench


class TailsGate(Gate):
    """The numerics check on the small ragged workloads that the kernel derives from the configuration."""

    name = "tails"
    time_limit_seconds = 60.0

    def measure(self, bench: Bench) -> Iterator[Finding]:
        """Errors per group for each tail, on one distribution and seed."""
        for workload in bench.tails:
            errors = bench.errors(workload, bench.distributions[0], bench.seeds[0])
            yield Finding({}, workload.name, bench.distributions[0], bench.seeds[0], errors)

    def judge(self, finding: Finding, facts: BenchFacts) -> GateResult:
        """As for numerics."""
        return judge_errors(self.name, finding, facts)
