"""Gate memory: every output element is written, nothing outside the buffers touched, no input changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from evotune_workers.gates.gate import Gate, GateCriteria, GateResult, Observation
from evotune_workers.kernel.contract import Workload

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import LoadedBuild


class MemoryGate(Gate):
    """Launches with inaccessible memory directly behind every buffer, then directly before it.

    An access past a guarded edge (SIGSEGV, illegal address) ends the child and is reported as this gate's failure.
    """

    name = "memory"
    time_limit_seconds = 20.0
    if_it_dies = "nothing outside the buffers may be touched, the process running it died"

    def measure(self, build: LoadedBuild) -> Iterator[Observation]:
        """Launch at the workload and at the first of its tails, guarded behind and before."""
        for workload in (build.workload, *build.tails[:1]):
            for at_end in (True, False):
                yield self._guarded_launch(build, workload, at_end)

    def _guarded_launch(self, build: LoadedBuild, workload: Workload, at_end: bool) -> Observation:
        inputs = build.reference(workload, build.distributions[0], build.seeds[0]).inputs
        tensors = (*inputs, build.new_output(workload), build.new_workspace(workload))
        guarded = [build.runtime.guard(tensor, at_end=at_end) for tensor in tensors]
        build.launch_into(workload, tuple(g.tensor for g in guarded[:-2]), guarded[-2].tensor, guarded[-1].tensor)
        written = guarded[-2].tensor
        figures = {
            "guarded": "behind" if at_end else "before",
            "unwritten": int(torch.isnan(written).sum()),
            "infinite": int(torch.isinf(written).sum()),
            "slack_bytes_changed": [g.slack_changed() for g in guarded],
            "inputs_changed": [not torch.equal(g.tensor, kept) for g, kept in zip(guarded, inputs, strict=False)],
        }
        return Observation(figures, workload.name)

    def judge(self, observation: Observation, criteria: GateCriteria) -> GateResult:
        """Require that no NaN or infinity is left, and that no slack byte and no input changed."""
        figures = observation.figures
        if not figures["unwritten"] <= 0:
            return self.verdict(observation, f"every output element must be written, {figures['unwritten']} are NaN")
        if not figures["infinite"] <= 0:
            return self.verdict(observation, f"every output element must be finite, {figures['infinite']} are infinite")
        if not sum(figures["slack_bytes_changed"]) <= 0:
            return self.verdict(
                observation, f"nothing outside the buffers may change, got {figures['slack_bytes_changed']}"
            )
        if any(figures["inputs_changed"]):
            return self.verdict(observation, f"inputs must not change, got {figures['inputs_changed']}")
        return self.verdict(observation, None)
