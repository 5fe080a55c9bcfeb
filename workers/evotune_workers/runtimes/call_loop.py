"""Consecutive calls of a CPU build from C++, so that their time does not contain Python's.

A call through Python costs 5 us, and the first one after other work up to 100 us. The loop is compiled for the types of
the entry function's arguments, separately from the build, so that a kernel's sources cannot affect it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from evotune_workers.compilers.own_library import own_library
from evotune_workers.runtimes.runtime import require_success

if TYPE_CHECKING:
    # The type of an argument as ctypes passes it.
    Word = ctypes.c_void_p | ctypes._SimpleCData[Any]

# In the loop, only the call itself changes memory on which the kernel's results depend.
SOURCE = """
#include <cstdint>

struct Arguments {{ {fields} }};
using Entry = int (*)({types});

extern "C" int call_in_turn(Entry entry, const Arguments* table, int64_t entries, int64_t first, int64_t calls) {{
    for (int64_t place = first % entries; calls > 0; --calls) {{
        const Arguments& a = table[place];
        if (const int status = entry({values})) return status;
        if (++place == entries) place = 0;
    }}
    return 0;
}}
"""
C_NAMES: dict[type, str] = {
    ctypes.c_void_p: "void*",
    ctypes.c_int32: "int32_t",
    ctypes.c_int64: "int64_t",
    ctypes.c_float: "float",
    ctypes.c_double: "double",
}


class CallLoop:
    """Calls of an entry function with rows of arguments in turn: call n takes those of row n % `entries`."""

    def __init__(self, entry: Any, entries: int, arguments: Callable[[int], Sequence[Word]]) -> None:
        """Compile the loop for `entry`, a function that ctypes has loaded; raise ToolchainError without a compiler."""
        types = tuple(type(word) for word in arguments(0))
        self._record = _record_of(types)
        self._table, self._written, self._arguments = (self._record * entries)(), 0, arguments
        self._entry, self._loop = ctypes.cast(entry, ctypes.c_void_p), _compiled(types)

    def prepare(self, first: int, calls: int) -> None:
        """Write the arguments of these calls into the table, unless they are there already.

        This is done on demand, since small inputs come in millions of sets.
        """
        for place in range(self._written, min(first + calls, len(self._table))):
            self._table[place] = self._record(*[word.value for word in self._arguments(place)])
            self._written = place + 1

    def run(self, first: int, calls: int) -> None:
        """Make `calls` prepared calls from number `first` on; raise LaunchError at a status other than 0."""
        require_success(self._loop(self._entry, self._table, len(self._table), first, calls))


def _record_of(types: Sequence[type]) -> Any:
    """Return the loop's struct as a ctypes class."""
    fields = [(f"a{place}", each) for place, each in enumerate(types)]
    return type("Arguments", (ctypes.Structure,), {"_fields_": fields})


def _compiled(types: tuple[type, ...]) -> Any:
    """Return the loop for arguments of these types."""
    names = [C_NAMES[each] for each in types]
    source = SOURCE.format(
        fields=" ".join(f"{name} a{place};" for place, name in enumerate(names)),
        types=", ".join(names),
        values=", ".join(f"a.a{place}" for place in range(len(names))),
    )
    loop = own_library(source).call_in_turn
    loop.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]
    return loop
