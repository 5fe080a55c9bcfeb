"""The timer against kernels that take a known time by the system's clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evotune_workers.device import cpu_device
from evotune_workers.session import Session
from tests.spinning import SPIN, timed_us


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One process for all."""
    made = Session(SPIN, cpu_device())
    yield made
    made.close()


@pytest.fixture(scope="module")
def empty_us(session: Session) -> float:
    """What calling costs: through Python, some microseconds."""
    return timed_us(session, cpu_device(), "cpu", 0)


@pytest.mark.parametrize("microseconds", [500, 5_000, 50_000])
def test_a_known_time_is_measured_within_two_percent(session: Session, empty_us: float, microseconds: int) -> None:
    measured = timed_us(session, cpu_device(), "cpu", 1000 * microseconds)
    assert abs(measured - empty_us - microseconds) <= 0.02 * microseconds
