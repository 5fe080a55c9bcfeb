"""The time that a launch on the same buffers may save."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from evotune_workers.timing.repeating import repeating_fault

# Bytes that saxpy of 4,096 and attention of the mission shape move.
SMALL, MISSION = 3 * 4096 * 4, 4 * 8 * 512 * 64 * 2


@dataclass(frozen=True)
class Times:
    median_us: float
    baseline_us: float


@pytest.mark.parametrize(
    ("cold", "warm", "moved_bytes"),
    [
        (Times(2.51, 6.17), Times(0.47, 3.31), SMALL),
        # A baseline whose Python took longer when it was warm.
        (Times(1.8, 5.0), Times(0.49, 5.1), SMALL),
        (Times(34.4, 24.9), Times(9.4, 9.3), 16 * SMALL),
        (Times(2700.0, 4300.0), Times(2600.0, 4200.0), MISSION),
    ],
)
def test_a_cpu_saves_what_memory_takes(cold: Times, warm: Times, moved_bytes: int) -> None:
    assert repeating_fault(cold, warm, moved_bytes, cores=2) is None


@pytest.mark.parametrize(
    ("cold", "warm", "moved_bytes"),
    [
        (Times(2.5, 5.0), Times(0.03, 5.1), SMALL),
        (Times(34.4, 24.9), Times(0.03, 24.8), 16 * SMALL),
        (Times(2700.0, 4300.0), Times(0.1, 4200.0), MISSION),
        # More than moving its data can take.
        (Times(2700.0, 4300.0), Times(300.0, 4200.0), MISSION),
    ],
)
def test_a_launch_that_finds_its_work_done_is_refused(cold: Times, warm: Times, moved_bytes: int) -> None:
    told = repeating_fault(cold, warm, moved_bytes, cores=2)
    assert told is not None and "on the same buffers as the one before may be" in told


def test_a_gpu_has_ratios_alone() -> None:
    assert repeating_fault(Times(4.8, 9.9), Times(4.3, 9.7), MISSION, cores=None) is None
    assert repeating_fault(Times(4.8, 9.9), Times(1.0, 9.7), MISSION, cores=None) is not None
