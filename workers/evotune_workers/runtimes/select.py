"""The runtime and the stopwatch for a target; CUDA's packages are imported only for a target that needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evotune_workers.kernel.contract import Baseline
from evotune_workers.runtimes.loaded_build import LoadedBuild
from evotune_workers.runtimes.runtime import Runtime
from evotune_workers.timing.stopwatch import Mode, Stopwatch

# Takes loaded builds by side name and all at one workload, the baselines to time beside them, the distribution of the
# inputs, and the cache's size.
StopwatchMaker = Callable[[Mapping[str, LoadedBuild], Sequence[Baseline], Mode, str, int], Stopwatch]


def make_runtime(target: str) -> Runtime:
    """Return the CPU's runtime for `cpu`, or that of the first visible GPU for an `sm_` target.

    Raises ImportError without the packages that it needs.
    """
    if target == "cpu":
        from evotune_workers.runtimes.cpu import CpuRuntime

        return CpuRuntime()
    from evotune_workers.runtimes.cuda import CudaRuntime

    return CudaRuntime()


def stopwatch_maker(target: str) -> StopwatchMaker | None:
    """Return the constructor of stopwatches in one process for a target; None for a CPU, whose sides take turns.

    Raises ImportError as `make_runtime` does.
    """
    if target == "cpu":
        return None
    from evotune_workers.runtimes.stopwatch_cuda import CudaStopwatches

    return CudaStopwatches().open
