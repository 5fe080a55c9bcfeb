"""Gate identity: the binary's own record of its configuration equals the request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evotune_workers.gates.gate import Gate, GateCriteria, GateResult, Observation

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import LoadedBuild


class IdentityGate(Gate):
    """Catches a build that ignores its configuration, and another trial's binary."""

    name = "identity"
    time_limit_seconds = 10.0

    def measure(self, build: LoadedBuild) -> Iterator[Observation]:
        """Read the configuration that the loaded binary records."""
        yield Observation({"record": build.program.identity()}, build.workload.name)

    def judge(self, observation: Observation, criteria: GateCriteria) -> GateResult:
        """Require that the record equals the requested macros, name by name."""
        record, wanted = dict(observation.figures["record"]), dict(criteria.macros)
        if not record:
            return self.verdict(observation, "the binary must export its evotune_configuration, found none")
        wrong = [name for name in sorted({*record, *wanted}) if record.get(name) != wanted.get(name)]
        if not wrong:
            return self.verdict(observation, None)
        name = wrong[0]
        return self.verdict(
            observation,
            f"the binary must be built with {name}={wanted.get(name)}, its own record says {record.get(name)}",
        )
