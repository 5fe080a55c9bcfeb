"""repeatability: the same bits every time, with another input's launch in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from evotune_workers.gates.gate import BenchFacts, Finding, Gate, GateResult
from evotune_workers.kernel.contract import Inputs, Workload

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import Bench

# As often as users of hand-written attention kernels had to run theirs to see an atomic race.
LAUNCHES = 100
SHARED_LAUNCHES = 10


class RepeatabilityGate(Gate):
    """100 launches alternating two inputs; every output is kept, and compared only when all have been launched.

    First every input and output has memory of its own. Then all launches share one set of buffers, in which the other
    input lies at the same addresses each time and the output still holds the other result: a result kept by address, or
    a launch that finds its output written and does nothing, gives the wrong one.
    """

    name = "repeatability"
    time_limit_seconds = 60.0

    def measure(self, bench: Bench) -> Iterator[Finding]:
        """How many launches gave other bits than the first on the same input, in buffers of their own and shared."""
        workload = bench.kernel.repeatability(bench.workload)
        distribution = bench.distributions[0]
        pair = [bench.inputs(workload, distribution, seed) for seed in bench.seeds[:2]]
        workspace = bench.new_workspace(workload)
        outputs = [bench.new_output(workload) for _ in range(LAUNCHES)]
        for number, output in enumerate(outputs):
            bench.launch_into(workload, pair[number % 2], output, workspace)
        yield self._finding(bench, workload, "own", outputs, outputs)
        again = list(self._shared_launches(bench, workload, pair, workspace))
        yield self._finding(bench, workload, "shared", again, outputs)

    def _shared_launches(
        self, bench: Bench, workload: Workload, pair: list[Inputs], workspace: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        inputs, output = tuple(tensor.clone() for tensor in pair[1]), bench.new_output(workload)
        for number in range(SHARED_LAUNCHES):
            for tensor, content in zip(inputs, pair[number % 2], strict=True):
                tensor.copy_(content)
            bench.launch_into(workload, inputs, output, workspace)
            yield output.clone()

    def _finding(
        self, bench: Bench, workload: Workload, buffers: str, outputs: list[torch.Tensor], right: list[torch.Tensor]
    ) -> Finding:
        different = [n for n, output in enumerate(outputs) if not torch.equal(_bits(output), _bits(right[n % 2]))]
        figures = {"launches": len(outputs), "different": len(different), "first": different[:1], "buffers": buffers}
        return Finding(figures, workload.name)

    def judge(self, finding: Finding, facts: BenchFacts) -> GateResult:
        """None differs."""
        figures = finding.figures
        if figures["different"] <= 0:
            return self.verdict(finding, None)
        where = ", with another input at the same addresses in between" if figures["buffers"] == "shared" else ""
        return self.verdict(
            finding,
            f"{figures['launches']} launches must give the same bits{where}, {figures['different']} differ,"
            f" the first at launch {figures['first'][0]}",
        )


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The raw bytes: NaN equals NaN, and -0 differs from 0."""
    return tensor.view(torch.uint8)
