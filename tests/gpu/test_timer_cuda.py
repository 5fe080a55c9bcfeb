"""The timer on a GPU: known times, known traffic, and a device that somebody else uses between blocks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from evotune_workers.compilers.candidate import Candidate
from evotune_workers.compilers.cuda_toolkit import find_nvcc
from evotune_workers.kernel import Geometry
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import CompareJob
from evotune_workers.measuring.timing_session import NoResult
from evotune_workers.runtimes.graph import CallGraph

from .conftest import SEEDS, GpuBench

if TYPE_CHECKING:
    from evotune_workers.runtimes.cuda import CudaProgram

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]

WITHIN = 0.02
REPLAY_NS = 20e6
REPEATS = 20
# Bursts of matrix products by another process, a few milliseconds each.
BURSTS = """
import random, time, torch
a = torch.randn(4096, 4096, dtype=torch.float16, device="cuda")
print("ready", flush=True)
while True:
    for _ in range(random.randrange(1, 30)):
        a @ a
    torch.cuda.synchronize()
    time.sleep(random.uniform(0.0, 0.05))
"""


@pytest.fixture(scope="module")
def spin(gpu: Device, tmp_path_factory: pytest.TempPathFactory) -> CudaProgram:
    """Load the kernel that spins in this process."""
    from cuda.core import Device as CoreDevice

    from evotune_workers.runtimes.cuda import CudaProgram

    cubin = tmp_path_factory.mktemp("spin") / "spin.cubin"
    source = Path(__file__).with_name("spin.cu")
    subprocess.run([find_nvcc().nvcc, "-cubin", f"-arch={gpu.target}", str(source), "-o", str(cubin)], check=True)
    device = CoreDevice(0)
    device.set_current()
    torch.cuda.set_stream(torch.cuda.Stream())
    return CudaProgram(cubin.read_bytes(), "spin", device, lambda: torch.cuda.current_stream().cuda_stream)


def spinning_us(spin: CudaProgram, nanoseconds: int) -> float:
    """Time one call."""
    output = torch.zeros(1, device="cuda")

    def call(_: int) -> torch.Tensor:
        spin.launch([np.uint64(nanoseconds)], Geometry((1, 1, 1), 32, shared_bytes=0))
        return output

    graph = CallGraph(call, sets=1, rounds=max(1, int(REPLAY_NS / (nanoseconds + 1000))))
    return float(np.median([graph.replay_us() for _ in range(5)]))


@pytest.mark.parametrize("microseconds", [5, 10, 50, 200, 1000, 10_000, 50_000])
def test_a_known_time_is_measured_within_2_percent(spin: CudaProgram, microseconds: int) -> None:
    """Beside what a launch of a kernel that does nothing takes in the same graph."""
    launch = spinning_us(spin, 0)
    measured = spinning_us(spin, 1000 * microseconds) - launch
    assert measured == pytest.approx(microseconds, rel=WITHIN), f"a launch takes {launch:.2f} us"


def test_cold_buffers_come_from_memory_and_warm_ones_from_the_cache(gpu: Device) -> None:
    """A copy that fits the cache is faster warm, and cold no faster than memory; one that does not fit is the same."""
    # Two transfers a clock (CUDA C++ best practices guide, "Theoretical Bandwidth Calculation").
    peak = 2 * float(gpu.properties["memory_clock_hz"]) * float(gpu.properties["memory_bus_bits"]) / 8
    cache = gpu.cache_bytes
    small, large = cache // 8, 2 * cache
    warm, cold = copying_us(small, 1), copying_us(small, 5 * cache // small)
    assert 2 * small / (cold * 1e-6) <= peak
    assert warm < 0.8 * cold
    assert copying_us(large, 1) == pytest.approx(copying_us(large, 3), rel=0.05)


def copying_us(size: int, sets: int) -> float:
    """One copy of so many bytes, between buffers that take turns."""
    sources = [torch.zeros(size, dtype=torch.uint8, device="cuda") for _ in range(sets)]
    targets = [torch.zeros_like(source) for source in sources]
    graph = CallGraph(lambda number: targets[number].copy_(sources[number]), sets, rounds=max(1, 40 // sets))
    return float(np.median([graph.replay_us() for _ in range(10)]))


def test_a_graph_keeps_what_its_calls_write_to() -> None:
    """Else that memory goes to whoever asks next, and each replay writes over it."""
    size = 1 << 22

    def made() -> CallGraph:
        workspace, output = torch.zeros(size, device="cuda"), torch.zeros(1, device="cuda")

        def call(_: int) -> torch.Tensor:
            workspace.fill_(1.0)
            return output

        return CallGraph(call, sets=1, rounds=1)

    with torch.cuda.stream(torch.cuda.Stream()):
        graph = made()
        others = [torch.zeros(size, device="cuda") for _ in range(4)]
        graph.replay()
        assert not any(other.any() for other in others)


@pytest.fixture
def busy_gpu() -> Iterator[None]:
    """Run a process that uses the same GPU now and then."""
    with subprocess.Popen([sys.executable, "-c", BURSTS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield
        process.kill()


@pytest.mark.usefixtures("busy_gpu")
def test_a_gpu_that_others_use_makes_no_winner(saxpy: GpuBench) -> None:
    """A build against itself: no difference, or no result; one in twenty is what a 95 % interval allows."""
    candidate = saxpy.build({"unroll": 4, "threads": 128, "fault": "none"}, "larger")
    winners = [ratio for _ in range(REPEATS) if (ratio := against_itself(saxpy, candidate)) is not None]
    assert len(winners) <= 2, winners


def against_itself(saxpy: GpuBench, candidate: Candidate) -> float | None:
    """Return the ratio when its interval leaves 1 out, or else None."""
    try:
        ratio = saxpy.measurer.run(CompareJob(candidate, candidate, "sm80", SEEDS)).ratio
    except NoResult:
        return None
    return None if ratio.low <= 1 <= ratio.high else ratio.median
