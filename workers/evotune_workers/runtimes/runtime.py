"""What a runtime is: it loads builds onto one kind of device and launches them; gates and timing know no more."""

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
    """A launch that reported a status other than success, or that the device cannot hold."""


class LoadError(RuntimeError):
    """A build that cannot be loaded, or that lacks the entry function."""


def require_success(status: int) -> None:
    """LaunchError when an entry function returned anything but 0."""
    if status != 0:
        raise LaunchError(f"the entry function must return 0, got {status}")


class Guarded(Protocol):
    """A tensor beside memory that may not be touched."""

    tensor: torch.Tensor

    def slack_changed(self) -> int:
        """How many bytes beside the tensor no longer hold the pattern that was put there."""


class Program(abc.ABC):
    """A loaded build. Not usable after `close`."""

    @abc.abstractmethod
    def identity(self) -> dict[str, str]:
        """The configuration that the binary says it was built with, by macro name; empty when it says nothing."""

    @abc.abstractmethod
    def resident_blocks(self, geometry: Geometry) -> int:
        """How many blocks of that size the whole device holds at once; 1 on a CPU."""

    @abc.abstractmethod
    def launch(self, arguments: Sequence[Argument], geometry: Geometry | None) -> None:
        """Launches once, without waiting for the end on a GPU; raises LaunchError on a bad status."""

    @abc.abstractmethod
    def close(self) -> None:
        """Unloads it, so that the next build of the same kernel starts from nothing."""


@dataclass(frozen=True)
class CallTimes:
    """Microseconds: the fastest call, and a call's share of many by the device's clock and by the host's."""

    fastest_us: float
    device_us: float
    wall_us: float


class Runtime(abc.ABC):
    """One device of the child's. `conditions` are what of its set-up bears on timings."""

    device: torch.device
    conditions: dict[str, Any]

    @abc.abstractmethod
    def load(self, path: Path, entry: str) -> Program:
        """A build's file, loaded; raises LoadError when it cannot be or lacks the entry function."""

    @abc.abstractmethod
    def guard(self, like: torch.Tensor, *, at_end: bool) -> Guarded:
        """A copy whose last byte (`at_end`), or first, lies against memory that faults when touched."""

    @abc.abstractmethod
    def synchronise(self) -> None:
        """Waits for everything launched; raises what went wrong with it."""

    @abc.abstractmethod
    def call_times(self, call: Callable[[], torch.Tensor]) -> CallTimes:
        """A few calls timed in two ways; each ends with the device at rest."""

    @abc.abstractmethod
    def free_bytes(self) -> int:
        """Return how much memory for tensors can still be had."""

    @abc.abstractmethod
    def broken(self) -> str | None:
        """Why nothing can run in this process any more (a sticky CUDA error), or None."""


def parse_identity(record: bytes) -> dict[str, str]:
    """The `NAME=value;` pairs of a binary's own record; empty when it does not begin with the mark."""
    if not record.startswith(IDENTITY_MARK):
        return {}
    pairs = record[len(IDENTITY_MARK) :].split(b"\0", 1)[0].decode(errors="replace").split(";")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
