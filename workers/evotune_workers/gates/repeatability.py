"""Gate repeatability: equal inputs give equal bits, with launches on another input in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from evotune_workers.gates.gate import Gate, GateCriteria, GateResult, Observation
from evotune_workers.kernel.contract import Inputs, Workload

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import LoadedBuild

# Users of hand-written attention kernels needed about this many runs to see an atomic race.
LAUNCHES = 100
SHARED_LAUNCHES = 10


class RepeatabilityGate(Gate):
    """Launches 100 times, alternating two inputs; the outputs are compared when all launches are done.

    First every input and output has memory of its own. Then all launches share one set of buffers: the two inputs
    alternate at the same addresses, and the output still holds the other result. This catches a kernel that
    keeps results by address, and one that does nothing when its output is already written.
    """

    name = "repeatability"
    time_limit_seconds = 60.0

    def measure(self, build: LoadedBuild) -> Iterator[Observation]:
        """Count the launches whose bits differ from those of the first launch on the same input.

        First all buffers are separate, then they are shared.
        """
        workload = build.kernel.repeatability(build.workload)
        distribution = build.distributions[0]
        pair = [build.inputs(workload, distribution, seed) for seed in build.seeds[:2]]
        workspace = build.new_workspace(workload)
        outputs = [build.new_output(workload) for _ in range(LAUNCHES)]
        for number, output in enumerate(outputs):
            build.launch_into(workload, pair[number % 2], output, workspace)
        yield self._observation(build, workload, "own", outputs, outputs)
        again = list(self._shared_launches(build, workload, pair, workspace))
        yield self._observation(build, workload, "shared", again, outputs)

    def _shared_launches(
        self, build: LoadedBuild, workload: Workload, pair: list[Inputs], workspace: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        inputs, output = tuple(tensor.clone() for tensor in pair[1]), build.new_output(workload)
        for number in range(SHARED_LAUNCHES):
            for tensor, content in zip(inputs, pair[number % 2], strict=True):
                tensor.copy_(content)
            build.launch_into(workload, inputs, output, workspace)
            yield output.clone()

    def _observation(
        self,
        build: LoadedBuild,
        workload: Workload,
        buffers: str,
        outputs: list[torch.Tensor],
        right: list[torch.Tensor],
    ) -> Observation:
        different = [n for n, output in enumerate(outputs) if not torch.equal(_bits(output), _bits(right[n % 2]))]
        figures = {"launches": len(outputs), "different": len(different), "first": different[:1], "buffers": buffers}
        return Observation(figures, workload.name)

    def judge(self, observation: Observation, criteria: GateCriteria) -> GateResult:
        """Require that no launch differs."""
        figures = observation.figures
        if figures["different"] <= 0:
            return self.verdict(observation, None)
        where = ", with another input at the same addresses in between" if figures["buffers"] == "shared" else ""
        return self.verdict(
            observation,
            f"{figures['launches']} launches must give the same bits{where}, {figures['different']} differ,"
            f" the first at launch {figures['first'][0]}",
        )


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """Return the raw bytes, in which NaN equals NaN and -0 differs from 0."""
    return tensor.view(torch.uint8)
