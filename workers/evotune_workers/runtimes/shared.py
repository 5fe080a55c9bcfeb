"""Values with tensors, sent from one process to another: the tensors lie in shared memory and are not copied."""

from __future__ import annotations

import io
import mmap
import os
import pickle
import warnings
import weakref
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

import torch

# The alignment of torch's own allocator on a CPU.
ALIGNMENT_BYTES = 64


class SharedBytes:
    """Memory that other processes map, too; `tensor` is a view of its bytes that can be written here only."""

    def __init__(self, size: int) -> None:
        """Allocate it, filled with zeros."""
        self._file = os.memfd_create("evotune")
        weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, max(1, size))
        self.tensor = _mapped(self._file, writable=True)[:size]

    def send(self, connection: Connection) -> None:
        """Send the memory; the other end calls `receive_bytes`."""
        send_handle(connection, self._file, None)


def receive_bytes(connection: Connection) -> torch.Tensor:
    """Return the bytes of memory that `SharedBytes.send` sent; a write to them ends the process (SIGSEGV)."""
    file = recv_handle(connection)
    try:
        return _mapped(file, writable=False)
    finally:
        os.close(file)


class Packed:
    """A value, pickled but for its CPU tensors, which lie one after the other in shared memory."""

    def __init__(self, value: Any) -> None:
        """Copy the value's tensors into new shared memory."""
        packer = _Packer()
        packer.dump(value)
        self._data, self._memory = packer.data(), SharedBytes(packer.size)
        for offset, tensor in packer.tensors:
            size = tensor.numel() * tensor.element_size()
            self._memory.tensor[offset : offset + size].copy_(tensor.reshape(-1).view(torch.uint8))

    def send(self, connection: Connection) -> None:
        """Send the value; the other end calls `receive`."""
        connection.send_bytes(self._data)
        self._memory.send(connection)

    def value(self) -> Any:
        """Return the value, with tensors that lie in the shared memory."""
        return _Unpacker(self._data, self._memory.tensor).load()


def receive(connection: Connection) -> Any:
    """Return a value that `Packed.send` sent; its tensors can be read only, as those of `receive_bytes`."""
    data = connection.recv_bytes()
    return _Unpacker(data, receive_bytes(connection)).load()


def _mapped(file: int, *, writable: bool) -> torch.Tensor:
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    # Populated at once: a first touch of each page would fall into the timed calls.
    mapped = mmap.mmap(file, 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=protection)
    with warnings.catch_warnings():
        # Torch has no tensors that cannot be written; here the operating system refuses it.
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        return torch.frombuffer(mapped, dtype=torch.uint8)


class _Packer(pickle.Pickler):
    """Collects the tensors of a value, with their offsets in the shared memory."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        super().__init__(self._buffer, pickle.HIGHEST_PROTOCOL)
        self.tensors: list[tuple[int, torch.Tensor]] = []
        self.size = 0

    def data(self) -> bytes:
        return self._buffer.getvalue()

    def persistent_id(self, obj: Any) -> tuple[int, torch.dtype, torch.Size] | None:
        if not isinstance(obj, torch.Tensor):
            return None
        offset = self.size
        self.tensors.append((offset, obj))
        room = obj.numel() * obj.element_size()
        self.size += -(-room // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return offset, obj.dtype, obj.shape


class _Unpacker(pickle.Unpickler):
    def __init__(self, data: bytes, memory: torch.Tensor) -> None:
        super().__init__(io.BytesIO(data))
        self._memory = memory

    def persistent_load(self, pid: tuple[int, torch.dtype, torch.Size]) -> torch.Tensor:
        offset, dtype, shape = pid
        size = shape.numel() * dtype.itemsize
        return self._memory[offset : offset + size].view(dtype).view(shape)
