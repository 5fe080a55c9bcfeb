"""The CPU runtime: a shared library with one `extern "C"` function, called through ctypes."""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..compilers.build import IDENTITY_BYTES, IDENTITY_MARK

CTYPES: dict[np.dtype[Any], type[ctypes._SimpleCData[Any]]] = {
    np.dtype(np.int32): ctypes.c_int32,
    np.dtype(np.int64): ctypes.c_int64,
    np.dtype(np.float32): ctypes.c_float,
    np.dtype(np.float64): ctypes.c_double,
}


class LaunchError(RuntimeError):
    """A launch that reported a status other than success."""


class CpuProgram:
    """A loaded CPU build; `launch` is synchronous. Not usable after `close`."""

    def __init__(self, path: Path, entry: str) -> None:
        """Loads the library; OSError when it cannot be, AttributeError when it lacks the entry function."""
        self._library = ctypes.CDLL(str(path))
        self._entry = getattr(self._library, entry)
        self._entry.restype = ctypes.c_int

    def identity(self) -> dict[str, str]:
        """The configuration that the binary says it was built with, by macro name; empty when it says nothing."""
        try:
            record = (ctypes.c_char * IDENTITY_BYTES).in_dll(self._library, "evotune_configuration").value
        except ValueError:
            return {}
        if not record.startswith(IDENTITY_MARK):
            return {}
        pairs = record[len(IDENTITY_MARK) :].decode(errors="replace").split(";")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def launch(self, arguments: Sequence[torch.Tensor | np.generic]) -> None:
        """Calls the entry function; LaunchError when it returns anything but 0."""
        status = self._entry(*[_argument(argument) for argument in arguments])
        if status != 0:
            raise LaunchError(f"the entry function must return 0, got {status}")

    def close(self) -> None:
        """Unloads the library, so that the next build of the same kernel starts from nothing."""
        _ctypes.dlclose(self._library._handle)


def _argument(value: torch.Tensor | np.generic) -> ctypes.c_void_p | ctypes._SimpleCData[Any]:
    if isinstance(value, torch.Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return CTYPES[value.dtype](value.item())
