"""Requests for kernels of one short source, built for CUDA targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evotune_workers.compilers.build import BuildRequest
from evotune_workers.kernel import Configuration, Value, Variant, Workload

PLAIN = 'extern "C" __global__ void entry(float* x) { x[threadIdx.x] *= 2; }\n'


class OneKernel(Variant):
    """kernel.cu with the function `entry`."""

    name = "sm80"
    sources = ("kernel.cu",)
    entry = "entry"

    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        return {}

    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        return {}

    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        return 0


def request_for(
    parent: Path, source: str, folder: str = "kernel", target: str = "sm_89", **macros: Value
) -> BuildRequest:
    """To build `source` as kernel.cu in a folder below `parent`, which is made."""
    (parent / folder).mkdir(parents=True, exist_ok=True)
    (parent / folder / "kernel.cu").write_text(source)
    return BuildRequest(parent / folder, OneKernel(), target, macros)
