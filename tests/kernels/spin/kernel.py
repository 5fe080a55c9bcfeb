"""A copy that takes a known time, with which tests check the timer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from evotune_workers.kernel import (
    Baseline,
    Configuration,
    Cost,
    Inputs,
    Kernel,
    StructureCase,
    Value,
    Variant,
    Workload,
)


@dataclass(frozen=True)
class CopyWorkload(Workload):
    """`out = x` over `length` elements; the baseline takes at least `baseline_ns`."""

    length: int
    baseline_ns: int


class SpinCpu(Variant):
    """Parameter: `spin_ns`, how long a call takes."""

    name = "cpu"
    sources = ("cpu.cpp",)
    entry = "spin"

    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """Return no macros: one build serves all lengths."""
        return {}

    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """Return nothing, because no constraint needs a derived quantity."""
        return {}

    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """Return 0: the kernel uses no workspace."""
        return 0


class Spin(Kernel):
    """The kernel `out = x`, slowed down by a parameter.

    A sample has as many calls as the fastest side makes in a millisecond. That side is the baseline if the copy spins.
    """

    name = "spin"
    variants = (SpinCpu(),)
    workloads = (
        CopyWorkload("50 calls", "float32", 16, 20_000),
        CopyWorkload("1 call", "float32", 16, 1_000_000),
        CopyWorkload("cached", "float32", 1 << 15, 0),
    )
    distributions = ("normal",)

    def inputs(self, workload: Workload, distribution: str, seed: int) -> Inputs:
        """Return x."""
        return (torch.randn(_copy(workload).length, generator=torch.Generator().manual_seed(seed)),)

    def empty_output(self, workload: Workload) -> torch.Tensor:
        """Return an uninitialized tensor with the shape of x."""
        return torch.empty(_copy(workload).length)

    def reference(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """Return x in float64."""
        return inputs[0].double()

    def baselines(self, workload: Workload, target: str) -> tuple[Baseline, ...]:
        """Return torch's copy."""
        return (self.pinned_baseline(workload, target),)

    def pinned_baseline(self, workload: Workload, target: str) -> Baseline:
        """Return torch's copy after a wait of `baseline_ns`."""
        wait = _copy(workload).baseline_ns

        def run(inputs: Inputs) -> torch.Tensor:
            end = time.perf_counter_ns() + wait
            while time.perf_counter_ns() < end:
                pass
            return inputs[0].clone()

        return Baseline("clone", run)

    def error_groups(self, workload: Workload) -> int:
        """Return 1: all elements together."""
        return 1

    def cost(self, workload: Workload) -> Cost:
        """Count one read and one write of each element."""
        return Cost(0.0, 8.0 * _copy(workload).length)

    def arguments(
        self, workload: Workload, inputs: Inputs, output: torch.Tensor, workspace: torch.Tensor
    ) -> tuple[torch.Tensor | np.generic, ...]:
        """Return x, out, workspace and length."""
        return (*inputs, output, workspace, np.int64(_copy(workload).length))

    def structure(self, workload: Workload) -> tuple[StructureCase, ...]:
        """Return no case: a copy has no structure."""
        return ()

    def tails(self, workload: Workload, configuration: Configuration) -> tuple[Workload, ...]:
        """Return no tails."""
        return ()

    def repeatability(self, workload: Workload) -> Workload:
        """Return the workload itself."""
        return workload


def _copy(workload: Workload) -> CopyWorkload:
    assert isinstance(workload, CopyWorkload)
    return workload
