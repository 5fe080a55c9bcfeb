"""A kernel that builds and runs in a moment, with a parameter that chooses a way to fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from evotune_workers.kernel import (
    Baseline,
    Configuration,
    Cost,
    Geometry,
    Inputs,
    Kernel,
    StructureCase,
    Value,
    Variant,
    Workload,
)


@dataclass(frozen=True)
class SaxpyWorkload(Workload):
    """`out = 2 x + y` over `length` elements."""

    length: int


class SaxpyCpu(Variant):
    """Parameters: `unroll`, `threads` (unused by the code: another value gives the same binary) and `fault`."""

    name = "cpu"
    sources = ("cpu.cpp",)
    entry = "saxpy"

    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """Return no macros: one build serves all lengths."""
        return {}

    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """Return the bytes of an unrolled step."""
        return {"step_bytes": 4 * int(configuration["unroll"])}

    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """Return 64 bytes, so that tests use a guarded workspace, or with `greedy` more than any machine has."""
        return 1 << 50 if configuration["fault"] == "greedy" else 64


class SaxpyCuda(SaxpyCpu):
    """Parameters: `unroll`, `threads` of a block, and `fault`."""

    name = "sm80"
    sources = ("sm80.cu",)

    def geometry(self, configuration: Configuration, workload: Workload, resident_blocks: int) -> Geometry:
        """Return a launch with one thread for each `unroll` elements."""
        threads = int(configuration["threads"])
        blocks = -(-_length(workload) // (threads * int(configuration["unroll"])))
        return Geometry((blocks, 1, 1), threads, shared_bytes=0)


class Saxpy(Kernel):
    """The kernel `out = 2 x + y`; its variants describe their parameters."""

    name = "saxpy"
    variants = (SaxpyCpu(), SaxpyCuda())
    workloads = (SaxpyWorkload("small", "float32", 4096), SaxpyWorkload("larger", "float32", 65536))
    distributions = ("normal", "uniform")

    def inputs(self, workload: Workload, distribution: str, seed: int) -> Inputs:
        """Return x and y."""
        generator = torch.Generator().manual_seed(seed + self.distributions.index(distribution))
        draw = torch.randn if distribution == "normal" else torch.rand
        length = _length(workload)
        return draw(length, generator=generator), draw(length, generator=generator)

    def empty_output(self, workload: Workload) -> torch.Tensor:
        """Return an uninitialized tensor with the shape of the inputs."""
        return torch.empty(_length(workload))

    def reference(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """Compute 2 x + y in float64."""
        return 2 * inputs[0].double() + inputs[1].double()

    def baselines(self, workload: Workload, target: str) -> tuple[Baseline, ...]:
        """Return torch's own addition, fused and in two steps."""
        return (self.pinned_baseline(workload, target), Baseline("two_steps", lambda inputs: inputs[0] * 2 + inputs[1]))

    def pinned_baseline(self, workload: Workload, target: str) -> Baseline:
        """Return one fused call of torch."""
        return Baseline("torch_add", lambda inputs: torch.add(inputs[1], inputs[0], alpha=2))

    def error_groups(self, workload: Workload) -> int:
        """Return 1: all elements together."""
        return 1

    def cost(self, workload: Workload) -> Cost:
        """Count a multiply-add and three transfers for each element."""
        return Cost(2.0 * _length(workload), 12.0 * _length(workload))

    def arguments(
        self, workload: Workload, inputs: Inputs, output: torch.Tensor, workspace: torch.Tensor
    ) -> tuple[torch.Tensor | np.generic, ...]:
        """Return x, y, out, workspace and length."""
        return (*inputs, output, workspace, np.int64(_length(workload)))

    def structure(self, workload: Workload) -> tuple[StructureCase, ...]:
        """Return a case with x = 0, whose output is exactly y."""
        y = torch.arange(_length(workload), dtype=torch.float32)
        return (StructureCase("x is zero", (torch.zeros_like(y), y), y.double(), 0.0),)

    def tails(self, workload: Workload, configuration: Configuration) -> tuple[Workload, ...]:
        """Return lengths that no unroll factor divides."""
        return tuple(SaxpyWorkload(f"length {n}", workload.dtype, n) for n in (1, 7, 1001))

    def repeatability(self, workload: Workload) -> Workload:
        """Return the workload itself."""
        return workload


def _length(workload: Workload) -> int:
    assert isinstance(workload, SaxpyWorkload)
    return workload.length
