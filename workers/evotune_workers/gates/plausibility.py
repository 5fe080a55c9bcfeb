"""plausibility: the work is done when the call returns, and not faster than the hardware allows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from evotune_workers.gates.gate import BenchFacts, Finding, Gate, GateResult

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import Bench

CLOCKS_APART = 0.05
# Long enough for work left to a stray thread to land; short against a trial.
SETTLE_SECONDS = 0.02


class PlausibilityGate(Gate):
    """Catches work left to another thread, and results that were not computed."""

    name = "plausibility"
    time_limit_seconds = 20.0

    def measure(self, bench: Bench) -> Iterator[Finding]:
        """A launch's time by two clocks; whether the output still changed after the call returned."""
        example = bench.example(bench.workload, bench.distributions[0], bench.seeds[0])
        output = bench.new_output(bench.workload)
        workspace = bench.new_workspace(bench.workload)

        def call() -> torch.Tensor:
            bench.launch_into(bench.workload, example.inputs, output, workspace)
            return output

        call()
        bench.runtime.synchronise()
        times = bench.runtime.call_times(call)
        at_return = output.clone()
        bench.runtime.synchronise()
        time.sleep(SETTLE_SECONDS)
        late = int((at_return.view(torch.uint8) != output.view(torch.uint8)).sum())
        yield Finding({**vars(times), "bytes_changed_after_return": late}, bench.workload.name)

    def judge(self, finding: Finding, facts: BenchFacts) -> GateResult:
        """No byte changes after return, both clocks agree, the fastest launch is not below the roofline floor."""
        figures = finding.figures
        if not figures["bytes_changed_after_return"] <= 0:
            return self.verdict(finding, "the output must be complete when the call returns, it changed afterwards")
        if not abs(figures["wall_us"] - figures["device_us"]) <= CLOCKS_APART * figures["wall_us"]:
            return self.verdict(
                finding,
                f"the device's clock and the host's must agree within {CLOCKS_APART:.0%}, got"
                f" {figures['device_us']:.3g} us and {figures['wall_us']:.3g} us a launch",
            )
        if not figures["fastest_us"] >= facts.floor_us:
            return self.verdict(
                finding,
                f"a launch cannot take less than the roofline's {facts.floor_us:.3g} us,"
                f" got {figures['fastest_us']:.3g} us",
            )
        return self.verdict(finding, None)
