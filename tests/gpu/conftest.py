"""Fixtures of the tests that need a GPU: the machine's first GPU and a measurer on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evotune.planning.locate import kernel_folder, space_file
from evotune.space import Space, load_space
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel import Configuration
from evotune_workers.kernel.device import Device, local_devices
from evotune_workers.measuring.jobs import MeasureJob, Measurement
from evotune_workers.measuring.measurer import Measurer
from tests.support.paths import SAXPY

ATTENTION = kernel_folder("attention_fwd")
SEEDS = (1, 2, 3)


@pytest.fixture(scope="session")
def gpu() -> Device:
    """Return the first GPU of this machine."""
    devices = local_devices()
    assert devices, "these tests need an NVIDIA GPU, cuda-core and nvidia-ml-py"
    return devices[0]


@pytest.fixture(scope="session")
def attention_space(gpu: Device) -> Space:
    """Return the built-in space closest to the GPU."""
    return load_space(space_file("attention_fwd", "h200" if gpu.target == "sm_90" else "l4"))


class GpuBench:
    """Builds and measures configurations of one kernel's CUDA variant."""

    def __init__(self, folder: Path, device: Device) -> None:
        self.folder, self.device = folder, device
        self.measurer = Measurer(folder, device)

    def build(self, configuration: Configuration, workload: str) -> Candidate:
        job = BuildJob(0, configuration, "sm80", self.device.target, (workload,))
        return build_candidate(self.folder, job)

    def measure(self, candidate: Candidate, seeds: tuple[int, ...] = SEEDS) -> Measurement:
        return self.measurer.run(MeasureJob(candidate, "sm80", seeds, {}))


@pytest.fixture(scope="module")
def saxpy(gpu: Device) -> Iterator[GpuBench]:
    """One measurer for a module, as a search has one for all its trials."""
    made = GpuBench(SAXPY, gpu)
    yield made
    made.measurer.close()


@pytest.fixture(scope="module")
def attention(gpu: Device) -> Iterator[GpuBench]:
    """Share one measurer of the attention kernel in a module."""
    made = GpuBench(ATTENTION, gpu)
    yield made
    made.measurer.close()
