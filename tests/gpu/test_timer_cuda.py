"""The timer against kernels that take a known time by the GPU's clock, and against what memory can move at most."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cuda.core import Device as CudaDevice

from evotune_workers.device import Device
from evotune_workers.session import Session
from tests.spinning import SPIN, timed_us

from .conftest import SAXPY, GpuBench

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def session(gpu: Device) -> Iterator[Session]:
    """One process for all."""
    made = Session(SPIN, gpu)
    yield made
    made.close()


@pytest.fixture(scope="module")
def empty_us(session: Session, gpu: Device) -> float:
    """What a launch in a graph costs."""
    return timed_us(session, gpu, "sm80", 0)


@pytest.mark.parametrize("microseconds", [5, 50, 1_000, 50_000])
def test_a_known_time_is_measured_within_two_percent(
    session: Session, gpu: Device, empty_us: float, microseconds: int
) -> None:
    measured = timed_us(session, gpu, "sm80", 1000 * microseconds)
    # The launch itself is not in the time that the kernel counts.
    assert abs(measured - empty_us - microseconds) <= 0.02 * microseconds


def test_cold_caches_cost_what_memory_takes_to_move_the_inputs(gpu: Device) -> None:
    """2 x + y over 16 MiB each of x, y and out: beyond a quarter of any L2, within what warm ones may keep."""
    bench = GpuBench(SAXPY, gpu)
    candidate = bench.build({"unroll": 4, "threads": 256, "fault": "none"}, "streaming")
    measurement = bench.measure(candidate)
    bench.measurer.close()
    assert measurement.failed_gate is None, measurement.reason
    cold, warm = measurement.timings
    properties = CudaDevice(0).properties
    # Memory moves data at both edges of its clock (kHz), over a bus of so many bits.
    peak = 2e3 * properties.memory_clock_rate * properties.global_memory_bus_width / 8
    read_us = 2 * (16 << 20) / peak * 1e6
    assert cold.median_us >= read_us, "faster than memory can read the inputs: they were not cold"
    assert warm.median_us < 0.8 * cold.median_us
