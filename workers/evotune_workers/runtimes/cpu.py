"""The CPU runtime: a build is a shared library with one `extern "C"` function, called through ctypes."""

from __future__ import annotations

import _ctypes
import ctypes
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from evotune_workers.compilers.build import IDENTITY_BYTES
from evotune_workers.kernel.contract import Geometry
from evotune_workers.runtimes.allocator import keep_freed_memory
from evotune_workers.runtimes.call_loop import CallLoop
from evotune_workers.runtimes.guarded import GuardedTensor
from evotune_workers.runtimes.openmp import share_torch_runtime
from evotune_workers.runtimes.runtime import (
    Argument,
    CallTimes,
    LoadError,
    Program,
    Runtime,
    parse_identity,
    require_success,
)
from evotune_workers.system.free_memory import free_memory_bytes

if TYPE_CHECKING:
    from evotune_workers.runtimes.call_loop import Word

# The first calls in a new process take longer: short ones are repeated until they have taken a while.
CALLS, MOST_CALLS, ENOUGH_US = 5, 50, 2000.0
CTYPES: dict[np.dtype[Any], type[ctypes._SimpleCData[Any]]] = {
    np.dtype(np.int32): ctypes.c_int32,
    np.dtype(np.int64): ctypes.c_int64,
    np.dtype(np.float32): ctypes.c_float,
    np.dtype(np.float64): ctypes.c_double,
}


class CpuRuntime(Runtime):
    """The CPU with all cores that this process may use."""

    def __init__(self) -> None:
        """Set up the process: builds bind to torch's OpenMP runtime, and the allocator keeps freed memory."""
        self.device = torch.device("cpu")
        self.conditions = {"openmp": share_torch_runtime(), "freed_memory_kept": keep_freed_memory()}

    def load(self, path: Path, entry: str) -> CpuProgram:
        """Load a shared library."""
        return CpuProgram(path, entry)

    def guard(self, like: torch.Tensor, *, at_end: bool) -> GuardedTensor:
        """Return a copy between two inaccessible pages."""
        return GuardedTensor(like, at_end=at_end)

    def synchronise(self) -> None:
        """Do nothing: a call has ended when it returns."""

    def call_times(self, call: Callable[[], torch.Tensor]) -> CallTimes:
        """Time a few calls; a CPU has one clock, so that both means are equal."""
        times: list[float] = []
        while len(times) < CALLS or (sum(times) < ENOUGH_US and len(times) < MOST_CALLS):
            started = time.perf_counter_ns()
            call()
            times.append((time.perf_counter_ns() - started) / 1e3)
        mean = sum(times) / len(times)
        return CallTimes(min(times), mean, mean)

    def free_bytes(self) -> int:
        """Return this machine's available memory, or less where a control group limits it."""
        return free_memory_bytes()

    def broken(self) -> str | None:
        """Return None: an error that breaks a CPU process ends it."""
        return None


class CpuProgram(Program):
    """A loaded CPU build; `launch` is synchronous."""

    def __init__(self, path: Path, entry: str) -> None:
        """Load the library; raise LoadError when that fails, or when it lacks the entry function."""
        try:
            self._library = ctypes.CDLL(str(path))
            self._entry = getattr(self._library, entry)
        except (OSError, AttributeError) as error:
            raise LoadError(str(error)) from error
        self._entry.restype = ctypes.c_int

    def identity(self) -> dict[str, str]:
        """Read the library's `evotune_configuration`."""
        try:
            record = (ctypes.c_char * IDENTITY_BYTES).in_dll(self._library, "evotune_configuration").raw
        except ValueError:
            return {}
        return parse_identity(record)

    def resident_blocks(self, geometry: Geometry) -> int:
        """Return 1: a CPU variant starts its own threads."""
        return 1

    def launch(self, arguments: Sequence[Argument], geometry: Geometry | None = None) -> None:
        """Call the entry function; raise LaunchError when it returns anything but 0."""
        require_success(self._entry(*[_word(argument) for argument in arguments]))

    def call_loop(self, entries: int, arguments: Callable[[int], Sequence[Argument]]) -> CallLoop:
        """Return a loop over that many rows of arguments; their tensors must live as long as the loop."""
        return CallLoop(self._entry, entries, lambda number: [_word(argument) for argument in arguments(number)])

    def close(self) -> None:
        """Unload the library."""
        _ctypes.dlclose(self._library._handle)


def _word(value: Argument) -> Word:
    if isinstance(value, torch.Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return CTYPES[value.dtype](value.item())
