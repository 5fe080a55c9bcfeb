"""Gate tails: the build is also right at sizes that are no multiple of a tile, and at other batch sizes and flags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evotune_workers.gates.error_limits import judge_errors
from evotune_workers.gates.gate import Gate, GateCriteria, GateResult, Observation

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import LoadedBuild


class TailsGate(Gate):
    """Checks errors, as numerics does, at the small ragged workloads that the kernel derives from the configuration."""

    name = "tails"
    time_limit_seconds = 60.0

    def measure(self, build: LoadedBuild) -> Iterator[Observation]:
        """Yield the errors per group for each tail, on one distribution and seed."""
        for workload in build.tails:
            errors = build.errors(workload, build.distributions[0], build.seeds[0])
            yield Observation({}, workload.name, build.distributions[0], build.seeds[0], errors)

    def judge(self, observation: Observation, criteria: GateCriteria) -> GateResult:
        """Require the same limits as numerics; see `judge_errors`."""
        return judge_errors(self.name, observation, criteria)
