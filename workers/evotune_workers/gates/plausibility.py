"""Gate plausibility: the work is complete when the call returns, and not faster than the hardware allows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from evotune_workers.gates.gate import Gate, GateCriteria, GateResult, Observation

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import LoadedBuild

CLOCKS_APART = 0.05
# Long enough for a stray thread to write its results, short compared with a trial.
SETTLE_SECONDS = 0.02


class PlausibilityGate(Gate):
    """Catches work left to another thread, and results that were not computed."""

    name = "plausibility"
    time_limit_seconds = 20.0

    def measure(self, build: LoadedBuild) -> Iterator[Observation]:
        """Yield a launch's time by two clocks, and the output bytes that changed after the call returned."""
        reference = build.reference(build.workload, build.distributions[0], build.seeds[0])
        output = build.new_output(build.workload)
        workspace = build.new_workspace(build.workload)

        def call() -> torch.Tensor:
            build.launch_into(build.workload, reference.inputs, output, workspace)
            return output

        call()
        build.runtime.synchronise()
        times = build.runtime.call_times(call)
        at_return = output.clone()
        build.runtime.synchronise()
        time.sleep(SETTLE_SECONDS)
        late = int((at_return.view(torch.uint8) != output.view(torch.uint8)).sum())
        yield Observation({**vars(times), "bytes_changed_after_return": late}, build.workload.name)

    def judge(self, observation: Observation, criteria: GateCriteria) -> GateResult:
        """Require that no byte changes after return, both clocks agree, and no launch is below the roofline floor."""
        figures = observation.figures
        if not figures["bytes_changed_after_return"] <= 0:
            return self.verdict(observation, "the output must be complete when the call returns, it changed afterwards")
        if not abs(figures["wall_us"] - figures["device_us"]) <= CLOCKS_APART * figures["wall_us"]:
            return self.verdict(
                observation,
                f"the device's clock and the host's must agree within {CLOCKS_APART:.0%}, got"
                f" {figures['device_us']:.3g} us and {figures['wall_us']:.3g} us a launch",
            )
        if not figures["fastest_us"] >= criteria.floor_us:
            return self.verdict(
                observation,
                f"a launch cannot take less than the roofline's {criteria.floor_us:.3g} us,"
                f" got {figures['fastest_us']:.3g} us",
            )
        return self.verdict(observation, None)
