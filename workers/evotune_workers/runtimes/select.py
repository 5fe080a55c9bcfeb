"""The runtime for a target; CUDA's packages are imported only where there is a GPU to use them."""

from __future__ import annotations

from evotune_workers.runtimes.runtime import Runtime


def make_runtime(target: str) -> Runtime:
    """`cpu`, or the first visible GPU for an `sm_` target; ImportError without the packages that it needs."""
    if target == "cpu":
        from evotune_workers.runtimes.cpu import CpuRuntime

        return CpuRuntime()
    from evotune_workers.runtimes.cuda import CudaRuntime

    return CudaRuntime()
