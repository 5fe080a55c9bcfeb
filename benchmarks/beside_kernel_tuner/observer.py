"""What Kernel Tuner has no option for, done where it lets others look on.

It never asks for more than the 48 KB of dynamic shared memory that every kernel may have. It ends a whole search at the
first wrong output; here a wrong output counts as the slowest there is. And it counts every evaluation towards
`max_fevals`, although its documentation says that only the first of each configuration counts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from cuda.bindings import driver, runtime
from kernel_tuner.observers import OutputObserver
from kernel_tuner.util import StopCriterionReached

from benchmarks.beside_kernel_tuner.kernel import TunedKernel
from benchmarks.beside_kernel_tuner.space import TunerSpace

# What Kernel Tuner itself takes for a configuration that it could not run.
SLOWEST = sys.float_info.max
# Absolute. Outputs are below 1, where rounding to FP16 costs up to 2.4e-4, and so does that of each weight.
TOLERANCE = 1e-3


class Observer(OutputObserver):
    """Keeps every evaluation, whatever ends the search; ends it with the budget's last configuration."""

    def __init__(self, kernel: TunedKernel, space: TunerSpace, budget: int) -> None:
        self._kernel, self._space, self._budget = kernel, space, budget
        self._error = float("nan")
        self._tried: set[tuple[Any, ...]] = set()
        self.evaluations: list[dict[str, Any]] = []

    def process_output(self, answer: list[Any], output: list[Any]) -> None:
        [(expected, found)] = [pair for pair in zip(answer, output, strict=True) if pair[0] is not None]
        self._error = float(np.max(np.abs(found.astype(np.float64).reshape(expected.shape) - expected)))
        # Kernel Tuner looks at no status here and would wait for ever for an event of a device that has failed.
        [status] = runtime.cudaDeviceSynchronize()
        if status != runtime.cudaError_t.cudaSuccess:
            raise RuntimeError(f"the device failed: {status}")

    def get_results(self) -> dict[str, float]:
        return {"error": self._error}

    def shared_bytes(self, parameters: Mapping[str, Any]) -> int:
        """What a launch needs; asks the driver to allow it for the kernel that has just been compiled."""
        size = self._kernel.shared_bytes(parameters)
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        [status] = driver.cuFuncSetAttribute(self.dev.func, attribute, size)
        if status != driver.CUresult.CUDA_SUCCESS:
            raise RuntimeError(f"{size} B of shared memory a block: {status}")
        return size

    def checked_time(self, result: Mapping[str, Any]) -> float:
        """The objective, in ms."""
        self.evaluations.append(dict(result))
        self._tried.add(key(self._space, result))
        if len(self._tried) >= self._budget:
            raise StopCriterionReached(f"{self._budget} configurations")
        return float(result["time"]) if result["error"] <= TOLERANCE else SLOWEST


def key(space: TunerSpace, result: Mapping[str, Any]) -> tuple[Any, ...]:
    """The configuration of a result."""
    return tuple(result[name] for name in space.parameters)
