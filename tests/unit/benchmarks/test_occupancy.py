"""Blocks of a multiprocessor from registers, shared memory and threads: cases worked out by hand for an L4."""

from __future__ import annotations

import pytest

from benchmarks.occupancy import _blocks_of_multiprocessor
from evotune_workers.kernel.contract import Geometry
from evotune_workers.kernel.targets import known_device

KIB = 1024


@pytest.mark.parametrize(
    ("threads", "registers", "shared_bytes", "blocks"),
    [
        (128, 255, 0, 2),  # 8,192 registers a warp: 2 warps at each of 4 schedulers
        (128, 168, 0, 3),  # 5,376: 3 warps at each
        (320, 168, 0, 1),  # 12 warps, of which a block takes 10
        (320, 40, 0, 4),  # 1,536 threads
        (128, 32, 48 * KIB, 2),  # 49 KB of 100
        (128, 32, 50 * KIB, 1),
        (32, 32, 0, 24),
    ],
)
def test_the_scarcest_resource_decides(threads: int, registers: int, shared_bytes: int, blocks: int) -> None:
    launch = Geometry((1, 1, 1), threads, shared_bytes)
    assert _blocks_of_multiprocessor(launch, registers, known_device("sm_89").limits) == blocks
