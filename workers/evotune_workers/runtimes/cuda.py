"""The CUDA runtime: a cubin loaded and launched with cuda.core, on torch's current stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cuda.bindings import driver
from cuda.core import Device, LaunchConfig, ObjectCode, Stream, launch

from evotune_workers.compilers.build import IDENTITY_BYTES
from evotune_workers.kernel.contract import Geometry
from evotune_workers.runtimes.graph import CallGraph
from evotune_workers.runtimes.guarded_cuda import GuardedCudaTensor, checked
from evotune_workers.runtimes.runtime import (
    Argument,
    CallTimes,
    LaunchError,
    LoadError,
    Program,
    Runtime,
    parse_identity,
)

# Dynamic shared memory beyond this must be requested (CUDA C++ Programming Guide, technical specifications).
SHARED_BYTES_WITHOUT_ASKING = 48 << 10
# Length of a graph whose two times are compared, and its lower limit. The host's cost of a replay, about 30 us, is then
# below one percent.
CALLS_US, LEAST_US = 5000.0, 4000.0
# No kernel takes less. Without this bound a call that launches no kernel would be repeated without end.
SHORTEST_CALL_US = 1.0
# Compilers on all cores made the host 5% late in each of 5 replays, in 3 of 200 trials. One undisturbed replay is
# enough: work that continues outside the graph makes every replay late.
REPLAYS, MOST_REPLAYS = 5, 60
AGREEMENT = 1.01


class CudaRuntime(Runtime):
    """The first visible device, with a stream of its own, which can be captured."""

    def __init__(self) -> None:
        """Make the device's primary context, which torch uses too, the current one."""
        self.device = torch.device("cuda", 0)
        self._core = Device(0)
        self._core.set_current()
        torch.cuda.set_stream(torch.cuda.Stream(self.device))
        supported = checked(driver.cuDriverGetVersion())
        self.conditions = {
            "cuda_driver": f"{supported // 1000}.{supported % 1000 // 10}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }

    def load(self, path: Path, entry: str) -> CudaProgram:
        """Load a cubin."""
        return CudaProgram(path.read_bytes(), entry, self._core, lambda: torch.cuda.current_stream().cuda_stream)

    def guard(self, like: torch.Tensor, *, at_end: bool) -> GuardedCudaTensor:
        """Return a copy between two ranges of unmapped addresses."""
        return GuardedCudaTensor(like, at_end=at_end)

    def synchronise(self) -> None:
        """Wait for the device."""
        torch.cuda.synchronize(self.device)

    def call_times(self, call: Callable[[], torch.Tensor]) -> CallTimes:
        """Time many calls in one CUDA graph, long enough for the cost of its replay to be negligible."""
        graph = _long_graph(call)
        replays = [graph.both_clocks_us() for _ in range(REPLAYS)]
        while min(map(_lateness, replays)) > AGREEMENT and len(replays) < MOST_REPLAYS:
            replays.append(graph.both_clocks_us())
        device, wall = min(replays, key=_lateness)
        return CallTimes(min(device for device, _ in replays), device, wall)

    def free_bytes(self) -> int:
        """Return the device's free memory and what torch keeps for reuse."""
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return torch.cuda.mem_get_info(self.device)[0] + kept

    def broken(self) -> str | None:
        """Return the sticky error, such as an illegal access, with which every later call fails, or None."""
        try:
            torch.cuda.synchronize(self.device)
        except RuntimeError as error:
            return str(error).splitlines()[0]
        return None


def _long_graph(call: Callable[[], torch.Tensor]) -> CallGraph:
    """Return a graph of as many calls as take CALLS_US.

    A single call seems longer than one of many, hence the second estimate.
    """
    rounds = 1
    for _ in range(2):
        graph = CallGraph(lambda _: call(), sets=1, rounds=rounds)
        call_us = max(SHORTEST_CALL_US, graph.replay_us())
        if rounds * call_us >= LEAST_US:
            return graph
        rounds = math.ceil(CALLS_US / call_us)
    return CallGraph(lambda _: call(), sets=1, rounds=rounds)


class CudaProgram(Program):
    """A loaded cubin."""

    def __init__(self, cubin: bytes, entry: str, device: Any, stream: Callable[[], int]) -> None:
        """Load a cubin for a cuda.core device; `stream` returns the handle of the stream to launch on.

        Raises LoadError when the device rejects it, or when it lacks the entry function.
        """
        try:
            self._code = ObjectCode.from_cubin(cubin)
            self._handle = self._code.handle
        except Exception as error:  # as in `launch`
            raise LoadError(f"the cubin does not load: {error}") from error
        try:
            self._kernel = self._code.get_kernel(entry)
        except Exception as error:  # as in `launch`
            raise LoadError(f"{entry}: {error}") from error
        self._device = device
        self._stream_handle, self._streams = stream, dict[int, Any]()
        self._shared_bytes = SHARED_BYTES_WITHOUT_ASKING

    def identity(self) -> dict[str, str]:
        """Read the module's `evotune_configuration`."""
        error, address, size = driver.cuLibraryGetGlobal(self._handle, b"evotune_configuration")
        if error != driver.CUresult.CUDA_SUCCESS:
            return {}
        record = bytearray(min(int(size), IDENTITY_BYTES))
        checked(driver.cuMemcpyDtoH(record, address, len(record)))
        return parse_identity(bytes(record))

    def resident_blocks(self, geometry: Geometry) -> int:
        """Return the blocks per multiprocessor times the multiprocessors; raise LaunchError if not even one fits."""
        self._ask_for_shared_memory(geometry)
        of_one = self._kernel.occupancy.max_active_blocks_per_multiprocessor(geometry.threads, geometry.shared_bytes)
        if of_one < 1:
            raise LaunchError(
                f"a multiprocessor must hold a block, it has no room for {geometry.threads} threads"
                f" with {geometry.shared_bytes} B of shared memory"
            )
        return int(of_one) * int(self._device.properties.multiprocessor_count)

    def launch(self, arguments: Sequence[Argument], geometry: Geometry | None) -> None:
        """Queue a launch on the stream; raise LaunchError when the driver refuses it."""
        assert geometry is not None, "a CUDA variant says how it is launched"
        self._ask_for_shared_memory(geometry)
        config = LaunchConfig(grid=geometry.grid, block=geometry.threads, shmem_size=geometry.shared_bytes)
        try:
            launch(self._stream(), config, self._kernel, *map(_argument, arguments))
        except Exception as error:  # cuda.core's CUDAError is not public, and an Exception like any other
            raise LaunchError(str(error).splitlines()[0]) from error

    def close(self) -> None:
        """Unload the module by dropping its last reference, as cuda.core requires."""
        del self._kernel, self._code, self._handle

    def _ask_for_shared_memory(self, geometry: Geometry) -> None:
        if geometry.shared_bytes <= self._shared_bytes:
            return
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        try:
            device = checked(driver.cuCtxGetDevice())
            checked(driver.cuKernelSetAttribute(attribute, geometry.shared_bytes, self._kernel.handle, device))
        except RuntimeError as error:
            raise LaunchError(f"{geometry.shared_bytes} B of shared memory a block: {error}") from error
        self._shared_bytes = geometry.shared_bytes

    def _stream(self) -> Any:
        handle = self._stream_handle()
        if handle not in self._streams:
            self._streams[handle] = Stream.from_handle(handle)
        return self._streams[handle]


def _lateness(clocks: tuple[float, float]) -> float:
    """Return the host's time as a multiple of the device's."""
    device, wall = clocks
    return wall / device


def _argument(value: Argument) -> int | np.generic:
    return value.data_ptr() if isinstance(value, torch.Tensor) else value
