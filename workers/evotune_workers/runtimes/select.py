"""The runtime for a target; CUDA's packages are imported only where there is a GPU to use them."""

from __future__ import annotations

from .runtime import Runtime


def make_runtime(target: str) -> Runtime:
    """`cpu`, or the first visible GPU for an `sm_` target; ImportError without the packages that it needs."""
    if target == "cpu":
        from .cpu import CpuRuntime

        return CpuRuntime()
    from .cuda import CudaRuntime

    return CudaRuntime()
