"""CUDA tensors whose memory ends (or starts) at unmapped addresses.

An access past the guarded end is an illegal address, which ends the child. The slack on the other side, up to the
allocation's granularity, holds a pattern that is checked afterwards.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from cuda.bindings import driver

PATTERN = 0xA5


class GuardedCudaTensor:
    """A CUDA tensor of a given shape and dtype in mapped memory with unmapped addresses on both sides.

    With `at_end` its last byte is adjacent to the unmapped addresses, otherwise its first byte.
    """

    def __init__(self, like: torch.Tensor, *, at_end: bool) -> None:
        """Copy `like` (contiguous, on the device) into guarded memory."""
        size = like.numel() * like.element_size()
        room = torch.as_tensor(_MappedBytes(size), device=like.device).fill_(PATTERN)
        start = len(room) - size if at_end else 0
        self._slack = (room[:start], room[start + size :])
        self.tensor = room[start : start + size].view(like.dtype).view(like.shape) if size else like
        self.tensor.copy_(like)

    def slack_changed(self) -> int:
        """Return the number of bytes of the slack beside the tensor that no longer hold the pattern."""
        return sum(int((slack != PATTERN).sum()) for slack in self._slack)


class _MappedBytes:
    """At least `size` bytes of device memory between two unmapped ranges; torch keeps it as long as its tensor."""

    def __init__(self, size: int) -> None:
        device = checked(driver.cuCtxGetDevice())
        properties = driver.CUmemAllocationProp()
        properties.type = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
        properties.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
        properties.location.id = int(device)
        minimum = driver.CUmemAllocationGranularity_flags.CU_MEM_ALLOC_GRANULARITY_MINIMUM
        step = int(checked(driver.cuMemGetAllocationGranularity(properties, minimum)))
        room = max(1, -(-size // step)) * step
        reserved = int(checked(driver.cuMemAddressReserve(room + 2 * step, 0, driver.CUdeviceptr(0), 0)))
        handle = checked(driver.cuMemCreate(room, properties, 0))
        self._address = reserved + step
        mapped = driver.CUdeviceptr(self._address)
        checked(driver.cuMemMap(mapped, room, 0, handle, 0))
        access = driver.CUmemAccessDesc()
        access.location = properties.location
        access.flags = driver.CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE
        checked(driver.cuMemSetAccess(mapped, room, [access], 1))
        self.__cuda_array_interface__ = {
            "shape": (room,),
            "typestr": "|u1",
            "data": (self._address, False),
            "version": 3,
        }
        weakref.finalize(self, _unmap, reserved, step, room, handle)


def checked(result: tuple[Any, ...]) -> Any:
    """Return the values of a driver call without its status; raise RuntimeError with the status's name if it failed."""
    status, *values = result
    if status != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(status.name)
    return values[0] if len(values) == 1 else tuple(values)


def _unmap(reserved: int, step: int, room: int, handle: Any) -> None:
    # Work that still uses the memory must end first. A broken context has nothing left to free.
    status, *_ = driver.cuCtxSynchronize()
    if status != driver.CUresult.CUDA_SUCCESS:
        return
    checked(driver.cuMemUnmap(driver.CUdeviceptr(reserved + step), room))
    checked(driver.cuMemRelease(handle))
    checked(driver.cuMemAddressFree(driver.CUdeviceptr(reserved), room + 2 * step))
