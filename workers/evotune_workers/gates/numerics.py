"""Gate numerics: errors against float64 are within a factor of the pinned fused baseline's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evotune_workers.gates.error_limits import judge_errors
from evotune_workers.gates.gate import Gate, GateCriteria, GateResult, Observation

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import LoadedBuild


class NumericsGate(Gate):
    """Measures errors at the workload for several seeds of every distribution."""

    name = "numerics"
    time_limit_seconds = 120.0

    def measure(self, build: LoadedBuild) -> Iterator[Observation]:
        """Yield the errors per group for each seed and distribution."""
        for seed in build.seeds:
            for distribution in build.distributions:
                errors = build.errors(build.workload, distribution, seed)
                yield Observation({}, build.workload.name, distribution, seed, errors)

    def judge(self, observation: Observation, criteria: GateCriteria) -> GateResult:
        """Require max and RMS error of every group within their factors of the baseline's; see `judge_errors`."""
        return judge_errors(self.name, observation, criteria)
