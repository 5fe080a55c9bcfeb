"""CPU tensors whose memory ends (or starts) at an inaccessible page.

A read or write past the guarded end is an immediate SIGSEGV. The slack up to the page boundary on the other side is
filled with a pattern that is checked afterwards.
"""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import torch

PATTERN = 0xA5
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class GuardedTensor:
    """A CPU tensor of a given shape and dtype between two inaccessible pages.

    With `at_end` its last byte is adjacent to the page behind it, otherwise its first byte to the page before it.
    """

    def __init__(self, like: torch.Tensor, *, at_end: bool) -> None:
        """Copy `like` (contiguous) into guarded memory."""
        size = like.numel() * like.element_size()
        page = mmap.PAGESIZE
        room = -(-size // page) * page
        self._map = mmap.mmap(-1, room + 2 * page)
        self._bytes = np.frombuffer(self._map, dtype=np.uint8)
        self._bytes[page : page + room] = PATTERN
        start = page + room - size if at_end else page
        self._slack = np.ones(room, dtype=bool)
        self._slack[start - page : start - page + size] = False
        self._body = self._bytes[page : page + room]
        base = self._bytes.ctypes.data
        _protect(base, page)
        _protect(base + page + room, page)
        flat = torch.from_numpy(self._bytes[start : start + size])
        self.tensor = flat.view(like.dtype).view(like.shape) if size else like
        self.tensor.copy_(like)

    def slack_changed(self) -> int:
        """Return the number of bytes of the slack beside the tensor that no longer hold the pattern."""
        return int(np.count_nonzero(self._body[self._slack] != PATTERN))


def _protect(address: int, length: int) -> None:
    if _libc.mprotect(address, length, 0) != 0:
        raise OSError(ctypes.get_errno(), "mprotect failed")
