"""Gate structure: inputs whose exact output is known, independent of rounding, give that output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evotune_workers.gates.gate import Gate, GateCriteria, GateResult, Observation

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import LoadedBuild


class StructureGate(Gate):
    """Catches wrong indexing that random inputs and a tolerance may hide, and hints at the stage at fault."""

    name = "structure"
    time_limit_seconds = 20.0

    def measure(self, build: LoadedBuild) -> Iterator[Observation]:
        """Launch every case that the kernel defines for the workload."""
        for case in build.structure_cases():
            difference = (build.launch(build.workload, case.inputs).double() - case.expected).abs()
            wrong = (~(difference <= case.tolerance)).nonzero()
            yield Observation(
                {
                    "case": case.name,
                    "largest_difference": difference.max().item(),
                    "tolerance": case.tolerance,
                    "wrong": len(wrong),
                    "first_wrong": wrong[0].tolist() if len(wrong) else None,
                },
                build.workload.name,
                distribution=case.name,
            )

    def judge(self, observation: Observation, criteria: GateCriteria) -> GateResult:
        """Require that the largest difference is within the case's tolerance."""
        figures = observation.figures
        if figures["largest_difference"] <= figures["tolerance"]:
            return self.verdict(observation, None)
        return self.verdict(
            observation,
            f"{figures['case']}: difference must be <= {figures['tolerance']:.3g}, got"
            f" {figures['largest_difference']:.3g} ({figures['wrong']} wrong, first at {figures['first_wrong']})",
        )
