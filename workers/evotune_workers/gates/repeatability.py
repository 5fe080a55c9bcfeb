"""repeatability: the same bits every time, with another input's launch in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from .gate import BenchFacts, Finding, Gate, GateResult

if TYPE_CHECKING:
    from ..bench import Bench

# The seeds' rule: identical output over 100 runs.
LAUNCHES = 100


class RepeatabilityGate(Gate):
    """100 launches alternating two inputs; every output is kept, and compared only when all have been launched."""

    name = "repeatability"
    time_limit_seconds = 60.0

    def measure(self, bench: Bench) -> Iterator[Finding]:
        """How many launches gave other bits than the first on the same input."""
        workload = bench.kernel.repeatability(bench.workload)
        distribution = bench.distributions[0]
        pair = [bench.inputs(workload, distribution, seed) for seed in bench.seeds[:2]]
        workspace = bench.new_workspace(workload)
        outputs = [bench.new_output(workload) for _ in range(LAUNCHES)]
        for number, output in enumerate(outputs):
            bench.launch_into(workload, pair[number % 2], output, workspace)
        different = [n for n, output in enumerate(outputs) if not torch.equal(_bits(output), _bits(outputs[n % 2]))]
        yield Finding({"launches": LAUNCHES, "different": len(different), "first": different[:1]}, workload.name)

    def judge(self, finding: Finding, facts: BenchFacts) -> GateResult:
        """None differs."""
        figures = finding.figures
        if figures["different"] <= 0:
            return self.verdict(finding, None)
        return self.verdict(
            finding,
            f"{figures['launches']} launches must give the same bits, {figures['different']} differ,"
            f" the first at launch {figures['first'][0]}",
        )


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The raw bytes: NaN equals NaN, and -0 differs from 0."""
    return tensor.view(torch.uint8)
