"""numerics: errors against float64 within a factor of the pinned fused baseline's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evotune_workers.gates.error_limits import judge_errors
from evotune_workers.gates.gate import BenchFacts, Finding, Gate, GateResult

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import Bench


class NumericsGate(Gate):
    """Several seeds times every distribution of the kernel, on the workload itself."""

    name = "numerics"
    time_limit_seconds = 120.0

    def measure(self, bench: Bench) -> Iterator[Finding]:
        """Errors per group for each seed and distribution."""
        for seed in bench.seeds:
            for distribution in bench.distributions:
                errors = bench.errors(bench.workload, distribution, seed)
                yield Finding({}, bench.workload.name, distribution, seed, errors)

    def judge(self, finding: Finding, facts: BenchFacts) -> GateResult:
        """In every group: max error and RMS error within their factors of the baseline's."""
        return judge_errors(self.name, finding, facts)
