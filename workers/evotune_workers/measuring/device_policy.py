"""Turns on a device: a CPU's job waits for the machine lock, a GPU's job begins at once."""

from __future__ import annotations

import abc
import contextlib
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import DiagnoseJob, Job, WarmUpJob
from evotune_workers.system.machine_lock import building, measuring


class DevicePolicy(abc.ABC):
    """Decides when a job has its device to itself."""

    @abc.abstractmethod
    def turn(self, job: Job[Any]) -> AbstractContextManager[float]:
        """Wait for the device and hold it for the job; gives the seconds for which the device had nothing to do."""


class CpuPolicy(DevicePolicy):
    """Holds the machine lock during a job, which keeps builds and other searches off the CPU."""

    @contextlib.contextmanager
    def turn(self, job: Job[Any]) -> Iterator[float]:
        """Hold the lock. A diagnosis times nothing, so builds may go on beside it, but no measurement."""
        with building() if isinstance(job, DiagnoseJob) else measuring():
            yield 0.0


class GpuPolicy(DevicePolicy):
    """Begins a job at once: Ray gives a GPU to one worker only. It tells how long the GPU was idle."""

    def __init__(self) -> None:
        """Start before the first job, whose wait does not count."""
        self._idle_since: float | None = None

    @contextlib.contextmanager
    def turn(self, job: Job[Any]) -> Iterator[float]:
        """Begin at once. A warm-up comes before the first job and starts no idle time."""
        yield time.perf_counter() - self._idle_since if self._idle_since is not None else 0.0
        if not isinstance(job, WarmUpJob):
            self._idle_since = time.perf_counter()


def device_policy(device: Device) -> DevicePolicy:
    """Return the policy for a kind of device."""
    return CpuPolicy() if device.kind == "cpu" else GpuPolicy()
