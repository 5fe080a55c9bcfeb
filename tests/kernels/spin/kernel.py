"""2 x + y by a kernel that then waits for a known time: what a timer is tested with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evotune_workers.kernel import Configuration, Geometry, Value, Variant, Workload
from evotune_workers.kernel_folder import load_kernel

if TYPE_CHECKING:
    from tests.kernels.saxpy.kernel import Saxpy, SaxpyWorkload
else:
    Saxpy = type(load_kernel(Path(__file__).parent.parent / "saxpy"))
    SaxpyWorkload = vars(sys.modules[Saxpy.__module__])["SaxpyWorkload"]

THREADS = 128
# Large enough for few buffer sets to fill caches, few enough for all blocks to be on a GPU at once.
LENGTH = 1 << 17


class SpinCpu(Variant):
    """Parameter `nanoseconds`; 0 does not wait."""

    name = "cpu"
    sources = ("cpu.cpp",)
    entry = "spin"

    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """None: one build serves all lengths."""
        return {}

    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """Nothing that a constraint would use."""
        return {}

    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """None."""
        return 0


class SpinCuda(SpinCpu):
    """Blocks of `THREADS`, each of which waits."""

    name = "sm80"
    sources = ("sm80.cu",)

    def geometry(self, configuration: Configuration, workload: Workload, resident_blocks: int) -> Geometry:
        """A thread for each element."""
        return Geometry((LENGTH // THREADS, 1, 1), THREADS, shared_bytes=0)


class Spin(Saxpy):
    """Inputs and results are saxpy's."""

    name = "spin"
    variants = (SpinCpu(), SpinCuda())  # type: ignore[assignment]  # others than saxpy's
    workloads = (SaxpyWorkload("short", "float32", LENGTH),)  # type: ignore[assignment]
