"""Prepared kernel launches: a call only writes its pointers into memory that the driver reads."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .cuda_modules import Program

# The largest kernel parameter here; the driver reads as many bytes as the kernel declares.
_SLOT = ctypes.c_uint64
# cuda.h: CU_STREAM_LEGACY, torch's default stream. In cuda.bindings, 0 may mean another stream.
_LEGACY_STREAM = 1


class Launch:
    """A launch of one kernel on one stream, with a fixed grid and fixed values after the first `pointers` arguments.

    A call writes the pointers to `slots`. `queue()` then queues the launch and returns the driver's status, 0 for
    success: `(status,) = launch.queue()`. This takes 0.4 us less than `cuda.core.launch`. Queue one call at a time.
    The slots are memory of this object, which must exist until `queue` returns: then the driver has read them.
    """

    def __init__(
        self,
        program: Program,
        grid: Sequence[int],
        threads: int,
        shared_bytes: int,
        pointers: int,
        values: Sequence[np.generic],
    ) -> None:
        """Prepare the launch; `values` are the arguments after the pointers, of the types that the kernel declares."""
        from cuda.bindings import driver

        count = pointers + len(values)
        memory = (_SLOT * count)()
        # Writing to a view takes half as long as writing to the array.
        self.slots = memoryview(memory).cast("B").cast("Q")
        for place, value in enumerate(values, start=pointers):
            self.slots[place] = int.from_bytes(value.tobytes(), "little")
        first, size = ctypes.addressof(memory), ctypes.sizeof(_SLOT)
        self._parameters = (ctypes.c_void_p * count)(*(first + place * size for place in range(count)))
        self._program = program  # keeps the kernel loaded
        shape = (*grid, threads, 1, 1, shared_bytes, driver.CUstream(program.stream or _LEGACY_STREAM))
        self.queue: Callable[[], tuple[Any]] = partial(
            driver.cuLaunchKernel, program.function, *shape, ctypes.addressof(self._parameters), 0
        )

    def retry(self, status: Any) -> None:
        """Queue a failed launch again if this thread has not used the GPU before; raise RuntimeError otherwise."""
        from cuda.bindings import driver
        from cuda.core import Device

        if status == driver.CUresult.CUDA_ERROR_INVALID_CONTEXT:
            Device(self._program.device).set_current()
            (status,) = self.queue()
        if status:
            raise RuntimeError(f"the kernel's launch must succeed, got {status.name} from the driver")
