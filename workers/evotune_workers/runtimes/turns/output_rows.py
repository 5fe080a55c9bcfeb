"""Outputs of consecutive calls, a row of memory each, filled and compared in C++.

Torch's operations would start threads, and take longer than the calls whose outputs they check.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch

from evotune_workers.compilers.own_library import own_library
from evotune_workers.runtimes.buffer_sets import allocate

# Row r has the output of a call on content r % contents.
SOURCE = """
#include <cstdint>
#include <cstring>

extern "C" void fill(char* memory, int64_t row_bytes, const char* pattern, int64_t bytes, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) memcpy(memory + row * row_bytes, pattern, bytes);
}

extern "C" int equal(const char* memory, int64_t row_bytes, const char* const* expected, int64_t contents,
                     int64_t bytes, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
        if (memcmp(memory + row * row_bytes, expected[row % contents], bytes) != 0) return 0;
    return 1;
}
"""


class OutputRows:
    """Memory for the outputs of calls in turn: call n writes row n % `count`."""

    def __init__(self, unwritten: torch.Tensor, count: int) -> None:
        """Allocate `count` rows of outputs; `unwritten` is one that holds what an output holds before a call."""
        self._unwritten = unwritten
        self._bytes = unwritten.numel() * unwritten.element_size()
        self._memory, [self._rows] = allocate((unwritten,), count)
        self.count = count
        self._library: Any = own_library(SOURCE)

    def output(self, number: int) -> torch.Tensor:
        """Return the output of that call, which later calls may overwrite."""
        return self._rows[number % self.count]

    def intact(self, first: int, calls: int) -> range:
        """Return the numbers of those of these calls whose outputs no later one of them has overwritten."""
        return range(max(first, first + calls - self.count), first + calls)

    def spoil(self, first: int, calls: int) -> None:
        """Fill the outputs of these calls with what an unwritten one holds."""
        pattern = ctypes.c_void_p(self._unwritten.data_ptr())
        for start, stop in self._pieces(first, calls):
            self._library.fill(*self._address(), pattern, *_words(self._bytes, start, stop))

    def are_right(self, calls: range, expected: Sequence[torch.Tensor]) -> bool:
        """Return True if the outputs of these calls, all intact, have the bits expected of their contents in turn."""
        addresses = (ctypes.c_void_p * len(expected))(*(output.data_ptr() for output in expected))
        return all(
            self._library.equal(*self._address(), addresses, *_words(len(expected), self._bytes, start, stop))
            for start, stop in self._pieces(calls.start, len(calls))
        )

    def _address(self) -> tuple[ctypes.c_void_p, ctypes.c_int64]:
        return ctypes.c_void_p(self._memory.data_ptr()), ctypes.c_int64(self._memory.stride(0))

    def _pieces(self, first: int, calls: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the rows of these calls: from the first one's on, and from row 0 on where they wrap around."""
        start = first % self.count
        return (start, min(self.count, start + calls)), (0, min(start, max(0, start + calls - self.count)))


def _words(*numbers: int) -> list[ctypes.c_int64]:
    return [ctypes.c_int64(number) for number in numbers]
