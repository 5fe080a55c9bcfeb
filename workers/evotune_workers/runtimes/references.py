"""Inputs with their exact result and the baseline's errors, made once in a child for many configurations."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol

import torch

from evotune_workers.kernel.contract import Inputs, Kernel, StructureCase, Workload
from evotune_workers.kernel.output_errors import Errors, group_errors
from evotune_workers.runtimes.buffer_sets import BufferSets, bytes_of, plan_buffers
from evotune_workers.runtimes.runtime import Runtime

# Number of cached references: enough for every seed and distribution of a few workloads, and for the latest tails.
KEPT_REFERENCES = 256
# Number of cached collections of buffer sets: a cold and a warm one on a CPU. On a GPU, whose graphs hold them anyway,
# those of four workloads.
KEPT_COLLECTIONS = {"cpu": 2, "cuda": 8}


@dataclass(frozen=True)
class Reference:
    """One set of inputs with its exact `output` in float64; `errors` lacks those of the kernel."""

    inputs: Inputs
    output: torch.Tensor
    groups: int
    errors: Errors
    baseline_us: float

    def errors_of(self, output: torch.Tensor) -> Errors:
        """Return the errors of a kernel's output on these inputs, beside those of the baseline and of rounding."""
        largest, rms = group_errors(output, self.output, self.groups)
        return replace(self.errors, kernel_max=largest, kernel_rms=rms)


class ReferenceSource(Protocol):
    """Gives the references of one kernel on one target, and the buffer sets that are timed."""

    def reference(self, workload: Workload, distribution: str, seed: int) -> Reference:
        """Return inputs with their exact result and the pinned baseline's errors."""

    def reference_of(self, workload: Workload, inputs: Inputs) -> Reference:
        """Return the reference of other inputs, which are on the device."""

    def structure(self, workload: Workload) -> tuple[StructureCase, ...]:
        """Return the kernel's structure cases."""

    def time_baseline(self, workload: Workload, inputs: Inputs) -> float:
        """Return the microseconds of one call of the pinned baseline, timed now."""

    def buffer_sets(
        self, workload: Workload, distribution: str, seeds: tuple[int, ...], least_bytes: int
    ) -> BufferSets:
        """Return copies of the inputs of these seeds in turn, together that large as far as memory allows."""


class References:
    """A cache of the references of one kernel on one target, which drops the least recently used ones."""

    def __init__(self, kernel: Kernel, target: str, runtime: Runtime) -> None:
        """Prepare empty caches; references are computed on demand."""
        self._kernel, self._target, self._runtime = kernel, target, runtime
        self.reference = functools.lru_cache(KEPT_REFERENCES)(self._reference)
        self.structure = functools.lru_cache(8)(self._structure)
        # Hundreds of megabytes each, and the same for every configuration.
        self.buffer_sets = functools.lru_cache(KEPT_COLLECTIONS[runtime.device.type])(self._buffer_sets)

    def warm_up(self, workloads: Sequence[Workload], seeds: Sequence[int]) -> None:
        """Compute the references of these workloads, and run each baseline."""
        for workload in workloads:
            self.structure(workload)
            for distribution, seed in product(self._kernel.distributions, seeds):
                reference = self.reference(workload, distribution, seed)
            for baseline in self._kernel.baselines(workload, self._target):
                baseline.run(reference.inputs)

    structure: functools._lru_cache_wrapper[tuple[StructureCase, ...]]

    def _buffer_sets(
        self, workload: Workload, distribution: str, seeds: tuple[int, ...], least_bytes: int
    ) -> BufferSets:
        contents = [self.reference(workload, distribution, seed).inputs for seed in seeds]
        free_bytes, device = self._runtime.free_bytes(), self._runtime.device
        plan = plan_buffers(contents[0], len(contents), least_bytes, free_bytes, device.type)
        memory = torch.empty(bytes_of(contents[0], plan.sets), dtype=torch.uint8, device=device)
        return BufferSets(contents[0], plan, memory).fill(contents)

    def _structure(self, workload: Workload) -> tuple[StructureCase, ...]:
        return tuple(
            replace(case, inputs=self._on_device(case.inputs), expected=case.expected.to(self._runtime.device))
            for case in self._kernel.structure(workload)
        )

    def _on_device(self, inputs: Inputs) -> Inputs:
        return tuple(tensor.to(self._runtime.device) for tensor in inputs)

    def _reference(self, workload: Workload, distribution: str, seed: int) -> Reference:
        return self.reference_of(workload, self._on_device(self._kernel.inputs(workload, distribution, seed)))

    def reference_of(self, workload: Workload, inputs: Inputs) -> Reference:
        """Compute the reference of these inputs, which are on the device, without caching it."""
        exact = self._kernel.reference(workload, inputs)
        output = self._kernel.pinned_baseline(workload, self._target).run(inputs)
        baseline_us = self.time_baseline(workload, inputs)
        groups = self._kernel.error_groups(workload)
        baseline_max, baseline_rms = group_errors(output, exact, groups)
        rounding_max, rounding_rms = group_errors(exact.to(output.dtype), exact, groups)
        errors = Errors((), (), baseline_max, baseline_rms, rounding_max, rounding_rms)
        return Reference(inputs, exact, groups, errors, baseline_us)

    def time_baseline(self, workload: Workload, inputs: Inputs) -> float:
        """Return the microseconds of one call of the pinned baseline, timed now."""
        baseline = self._kernel.pinned_baseline(workload, self._target)
        self._runtime.synchronise()
        started = time.perf_counter_ns()
        baseline.run(inputs)
        self._runtime.synchronise()
        return (time.perf_counter_ns() - started) / 1e3
