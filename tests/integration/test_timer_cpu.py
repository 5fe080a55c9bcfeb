"""The timer on a CPU: known times, known traffic, and a machine that somebody else uses meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evotune_workers.builder import BuildJob, build_candidate
from evotune_workers.device import cpu_device
from evotune_workers.jobs import Candidate
from evotune_workers.measurer import Measurer
from evotune_workers.session import Session
from evotune_workers.timekeeper import NoResult, Timekeeper

pytestmark = [pytest.mark.quiet, pytest.mark.timeout(120)]

SPIN = Path(__file__).parent.parent / "kernels" / "spin"
SEEDS = (1, 2, 3)
WITHIN = 0.02
REPEATS = 10
# A core kept busy for some milliseconds, now and then.
BURSTS = """
import random, time
print("ready", flush=True)
while True:
    end = time.perf_counter() + random.uniform(0.0, 0.02)
    while time.perf_counter() < end: pass
    time.sleep(random.uniform(0.0, 0.1))
"""

Builds = Callable[[int, str], Candidate]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builds]:
    """The copy that first spins for so many nanoseconds, at a workload."""

    def made(spin_ns: int, workload: str) -> Candidate:
        return build_candidate(SPIN, BuildJob(0, {"spin_ns": spin_ns}, "cpu", "cpu", (workload,)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOTUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield made


@pytest.fixture(scope="module")
def measurer() -> Iterator[Measurer]:
    made = Measurer(SPIN, cpu_device())
    yield made
    made.close()


@pytest.mark.parametrize("microseconds", [5, 200])
def test_a_short_time_is_measured_within_2_percent(measurer: Measurer, build: Builds, microseconds: int) -> None:
    """Beside a call that does not spin."""
    duel = measurer.compare(build(1000 * microseconds, "small"), build(0, "small"), "cpu", SEEDS)
    assert duel.first_us - duel.second_us == pytest.approx(microseconds, rel=WITHIN), (
        f"a call takes {duel.second_us} us"
    )


@pytest.mark.parametrize("microseconds", [2_000, 50_000])
def test_a_long_time_is_measured_within_2_percent(measurer: Measurer, build: Builds, microseconds: int) -> None:
    spinning = build(1000 * microseconds, "small")
    assert measurer.compare(spinning, spinning, "cpu", SEEDS).first_us == pytest.approx(microseconds, rel=WITHIN)


def test_cold_buffers_come_from_memory_and_warm_ones_from_the_cache(build: Builds) -> None:
    """A copy that fits the cache is faster warm; to one that does not fit, it is all the same."""
    cold, warm = cold_and_warm_us(build(0, "cached"))
    assert warm < 0.8 * cold
    cold, warm = cold_and_warm_us(build(0, "large"))
    assert warm == pytest.approx(cold, rel=0.1)


def cold_and_warm_us(candidate: Candidate) -> tuple[float, float]:
    session = Session(SPIN, cpu_device())
    [built] = candidate.builds
    with session.loaded({"candidate": (candidate, built)}, "cpu", SEEDS):
        cold, warm = Timekeeper(session, {"candidate": built}, finalists=True).cold_and_warm(None)["candidate"]
    session.close()
    return cold.median_us, warm.median_us


@pytest.fixture
def busy_core() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", BURSTS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield
        process.kill()


@pytest.mark.usefixtures("busy_core")
def test_a_machine_that_others_use_makes_no_winner(measurer: Measurer, build: Builds) -> None:
    """A build against itself: no difference, or no result; one in twenty is what a 95 % interval allows."""
    candidate = build(20_000, "small")
    winners = [ratio for _ in range(REPEATS) if (ratio := against_itself(measurer, candidate)) is not None]
    assert len(winners) <= 2, winners


def against_itself(measurer: Measurer, candidate: Candidate) -> float | None:
    """The ratio when the interval leaves 1 out."""
    try:
        ratio = measurer.compare(candidate, candidate, "cpu", SEEDS).ratio
    except NoResult:
        return None
    return None if ratio.low <= 1 <= ratio.high else ratio.median
