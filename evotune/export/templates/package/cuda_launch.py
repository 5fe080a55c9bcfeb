"""Launches with everything made beforehand: a call writes its pointers, and the driver takes them from there."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .cuda_modules import Program

# Every parameter of a kernel is this large at most here; the driver takes the bytes that the kernel declares.
_SLOT = ctypes.c_uint64
# cuda.h: CU_STREAM_LEGACY, torch's default stream, whatever cuda.bindings take 0 for.
_LEGACY_STREAM = 1


class Launch:
    """One kernel on one stream, with a grid and all arguments but the first `pointers`, which a call writes to `slots`.

    `queue()` then queues it and returns the driver's status, 0 for success: `(status,) = launch.queue()`. It is as fast
    as Python allows, 0.4 us less than cuda.core's `launch`. For one call at a time: when `queue` returns
    the driver has read the slots. They are this object's memory, which must be there until then.
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
        """`values` are what follows the pointers, of the types that the kernel declares."""
        from cuda.bindings import driver

        count = pointers + len(values)
        memory = (_SLOT * count)()
        # A view of the array, which is twice as fast to write to.
        self.slots = memoryview(memory).cast("B").cast("Q")
        for place, value in enumerate(values, start=pointers):
            self.slots[place] = int.from_bytes(value.tobytes(), "little")
        first, size = ctypes.addressof(memory), ctypes.sizeof(_SLOT)
        self._parameters = (ctypes.c_void_p * count)(*(first + place * size for place in range(count)))
        self._program = program  # whose kernel stays loaded for as long as anything has it
        shape = (*grid, threads, 1, 1, shared_bytes, driver.CUstream(program.stream or _LEGACY_STREAM))
        self.queue: Callable[[], tuple[Any]] = partial(
            driver.cuLaunchKernel, program.function, *shape, ctypes.addressof(self._parameters), 0
        )

    def retry(self, status: Any) -> None:
        """After a failure: once more if this thread had not used the GPU yet; RuntimeError otherwise."""
        from cuda.bindings import driver
        from cuda.core import Device

        if status == driver.CUresult.CUDA_ERROR_INVALID_CONTEXT:
            Device(self._program.device).set_current()
            (status,) = self.queue()
        if status:
            raise RuntimeError(f"the kernel must be launched, the driver says {status.name}")
