"""identity: the binary's own record of its configuration equals the request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evotune_workers.gates.gate import BenchFacts, Finding, Gate, GateResult

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import Bench


class IdentityGate(Gate):
    """Catches a build that ignores its configuration, and another trial's binary."""

    name = "identity"
    time_limit_seconds = 10.0

    def measure(self, bench: Bench) -> Iterator[Finding]:
        """What the loaded binary says of itself."""
        yield Finding({"record": bench.program.identity()}, bench.workload.name)

    def judge(self, finding: Finding, facts: BenchFacts) -> GateResult:
        """Equal, name by name, to the macros of the request."""
        record, wanted = dict(finding.figures["record"]), dict(facts.macros)
        if not record:
            return self.verdict(finding, "the binary must export its evotune_configuration, found none")
        wrong = [name for name in sorted({*record, *wanted}) if record.get(name) != wanted.get(name)]
        if not wrong:
            return self.verdict(finding, None)
        name = wrong[0]
        return self.verdict(
            finding,
            f"the binary must be built with {name}={wanted.get(name)}, its own record says {record.get(name)}",
        )
