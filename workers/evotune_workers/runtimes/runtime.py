"""The interface of a runtime, which loads builds onto one kind of device and launches them."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from evotune_workers.compilers.build import IDENTITY_MARK
from evotune_workers.kernel.contract import Geometry

Argument = torch.Tensor | np.generic


class LaunchError(RuntimeError):
    """A launch reported a status other than success, or exceeds what the device can hold."""


class LoadError(RuntimeError):
    """A build cannot be loaded, or lacks the entry function."""


def require_success(status: int) -> None:
    """Raise LaunchError when an entry function returned anything but 0."""
    if status != 0:
        raise LaunchError(f"the entry function must return 0, got {status}")


class Guarded(Protocol):
    """A tensor beside inaccessible memory."""

    tensor: torch.Tensor

    def slack_changed(self) -> int:
        """Return the number of bytes beside the tensor that no longer hold the pattern written there."""


class Program(abc.ABC):
    """A loaded build, not usable after `close`."""

    @abc.abstractmethod
    def identity(self) -> dict[str, str]:
        """Return the configuration that the binary records, by macro name; empty when it records none."""

    @abc.abstractmethod
    def resident_blocks(self, geometry: Geometry) -> int:
        """Return the number of blocks of that size that the whole device holds at once; 1 on a CPU."""

    @abc.abstractmethod
    def launch(self, arguments: Sequence[Argument], geometry: Geometry | None) -> None:
        """Launch once, on a GPU without waiting for the end; raise LaunchError on a bad status."""

    @abc.abstractmethod
    def close(self) -> None:
        """Unload the build, so that none of its state is left to the next build of the same kernel."""


@dataclass(frozen=True)
class CallTimes:
    """Microseconds of a call: the fastest, and the mean of many by the device's clock and by the host's."""

    fastest_us: float
    device_us: float
    wall_us: float


class Runtime(abc.ABC):
    """The child's device; `conditions` describe the parts of its set-up that affect timings."""

    device: torch.device
    conditions: dict[str, Any]

    @abc.abstractmethod
    def load(self, path: Path, entry: str) -> Program:
        """Load a build's file; raise LoadError when that fails, or when it lacks the entry function."""

    @abc.abstractmethod
    def guard(self, like: torch.Tensor, *, at_end: bool) -> Guarded:
        """Return a copy whose last byte (`at_end`), or first, is adjacent to memory that faults on any access."""

    @abc.abstractmethod
    def synchronise(self) -> None:
        """Wait for everything launched; raise its errors."""

    @abc.abstractmethod
    def call_times(self, call: Callable[[], torch.Tensor]) -> CallTimes:
        """Time a few calls by the device's clock and by the host's; each measurement ends with the device idle."""

    @abc.abstractmethod
    def free_bytes(self) -> int:
        """Return how much memory for tensors can still be had."""

    @abc.abstractmethod
    def broken(self) -> str | None:
        """Return the reason why this process can run nothing any more (a sticky CUDA error), or None."""


def parse_identity(record: bytes) -> dict[str, str]:
    """Return the `NAME=value;` pairs of a binary's identity record; empty when it does not begin with the mark."""
    if not record.startswith(IDENTITY_MARK):
        return {}
    pairs = record[len(IDENTITY_MARK) :].split(b"\0", 1)[0].decode(errors="replace").split(";")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
