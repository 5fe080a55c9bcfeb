"""Measuring actors: each owns a device, and is asked for one thing at a time.

What measures imports torch, which takes seconds; an actor imports it when its child, which has to do so too, has begun.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evotune_workers.child.sandbox import sandbox_for
from evotune_workers.cluster.unpack import unpack_kernel
from evotune_workers.compilers.cpp import compiler_version
from evotune_workers.kernel.device import Device, cpu_device, local_devices
from evotune_workers.kernel.folder import KernelPackage
from evotune_workers.measuring.jobs import ConfirmJob, DiagnoseJob, MeasureJob, Measurement, WarmUpJob
from evotune_workers.system.machine_lock import building, measuring

if TYPE_CHECKING:
    from evotune_workers.diagnosis.finding import Diagnosis
    from evotune_workers.measuring.measurer import Measurer


class CudaMeasuringActor:
    """Owns a GPU: Ray shows it no other. It never touches CUDA itself; its child does."""

    def __init__(self, package: KernelPackage) -> None:
        """Unpacks the kernel and starts a child. Raises RuntimeError where the GPU cannot be used."""
        devices = local_devices()
        if not devices:
            raise RuntimeError("its GPU must be usable with cuda-core and nvidia-ml-py, it is not: pip install them")
        self._device = devices[0]
        self._idle_since: float | None = None
        self._measurer = _measurer(unpack_kernel(package), self._device)

    def describe(self) -> Device:
        """The GPU."""
        return self._device

    def warm_up(self, job: WarmUpJob) -> None:
        """See Measurer."""
        self._measurer.warm_up(job)

    def measure(self, job: MeasureJob) -> Measurement:
        """See Measurer; `waited` is how long the GPU had nothing to do before."""
        waited = time.perf_counter() - self._idle_since if self._idle_since is not None else 0.0
        measurement = self._measurer.measure(job)
        self._idle_since = time.perf_counter()
        return replace(measurement, waited=waited)

    def diagnose(self, job: DiagnoseJob) -> Diagnosis:
        """See Measurer. Its time is neither work nor waiting."""
        diagnosis = self._measurer.diagnose(job)
        self._idle_since = time.perf_counter()
        return diagnosis

    def confirm(self, job: ConfirmJob) -> tuple[Measurement, ...]:
        """See Measurer."""
        return self._measurer.confirm(job)


class CpuMeasuringActor:
    """Owns a node's CPU while it measures: the machine's lock keeps builds, and other searches, off it meanwhile.

    The lock is taken before any time limit starts, so waiting for it counts against nobody.
    """

    def __init__(self, package: KernelPackage) -> None:
        """Unpacks the kernel; starts no child yet. Raises ToolchainError without the compiler that timing needs."""
        compiler_version()
        self._device = cpu_device()
        self._measurer = _measurer(unpack_kernel(package), self._device)

    def describe(self) -> Device:
        """The node's CPU."""
        return self._device

    def warm_up(self, job: WarmUpJob) -> None:
        """Nothing: on the cores that it would take builds are under way, which its first trial waits for."""

    def measure(self, job: MeasureJob) -> Measurement:
        """See Measurer."""
        with measuring():
            return self._measurer.measure(job)

    def diagnose(self, job: DiagnoseJob) -> Diagnosis:
        """See Measurer. Nothing is timed: builds may go on beside it, but no other search's measurement."""
        with building():
            return self._measurer.diagnose(job)

    def confirm(self, job: ConfirmJob) -> tuple[Measurement, ...]:
        """See Measurer."""
        with measuring():
            return self._measurer.confirm(job)


def _measurer(folder: Path, device: Device) -> Measurer:
    sandbox = sandbox_for(folder, device)
    from evotune_workers.measuring.measurer import Measurer

    return Measurer(folder, device, sandbox)
