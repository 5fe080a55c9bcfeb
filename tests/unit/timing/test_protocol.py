"""The protocol's decisions, on blocks with known times."""

import itertools

import numpy as np
import pytest

from evotune_workers.timing.protocol import (
    LEAST_BLOCKS,
    MOST_BLOCKS,
    NO_SAMPLES,
    SEARCH_BLOCKS,
    measure_interleaved,
    plausible_opponents,
)
from evotune_workers.timing.stopwatch import POWER_CAP, Block, Conditions
from evotune_workers.timing.summary import most_cautious, summarise


class Machine:
    """Gives blocks of sides with known mean times and noise."""

    def __init__(self, noise: float = 0.001, disturbed: float = 0.0, **means: float) -> None:
        self.means, self.noise, self.disturbed = means, noise, itertools.cycle([0.0, disturbed])
        self.rng = np.random.default_rng(3)
        self.asked: list[tuple[str, ...]] = []

    def blocks(self, count: int, sides: tuple[str, ...]) -> list[Block]:
        self.asked.append(sides)
        return [self._block(sides) for _ in range(count)]

    def _block(self, sides: tuple[str, ...]) -> Block:
        drift = 1 + 0.3 * self.rng.random()
        times = {}
        for side in sides:
            first, second = drift * self.means[side] * (1 + self.noise * self.rng.standard_normal(2))
            times[side] = (first, second)
        return Block(times, (), Conditions(disturbed=next(self.disturbed)))


def test_drift_that_both_sides_share_cancels_in_the_ratio() -> None:
    machine = Machine(candidate=100.0, sdpa=150.0)
    samples, censored = measure_interleaved(["candidate"], ["sdpa"], machine.blocks, None)
    timing = summarise(samples, "candidate", "build", ["sdpa"], "mission", "cold", censored, {})
    assert timing.speedup == pytest.approx(1.5, rel=0.003)
    assert timing.speedup_low <= 1.5 <= timing.speedup_high
    assert timing.blocks == LEAST_BLOCKS and not timing.censored


def test_noise_is_measured_longer_but_not_for_ever() -> None:
    samples, _ = measure_interleaved(
        ["candidate"], ["sdpa"], Machine(noise=0.2, candidate=100.0, sdpa=100.0).blocks, None
    )
    assert len(samples.kept) == MOST_BLOCKS


def test_the_fastest_baseline_is_the_opponent_and_the_slow_one_is_dropped() -> None:
    machine = Machine(candidate=100.0, slow=400.0, fast=150.0)
    samples, _ = measure_interleaved(["candidate"], ["slow", "fast"], machine.blocks, None)
    timing = summarise(samples, "candidate", "build", ["slow", "fast"], "mission", "cold", False, {})
    assert timing.baseline == "fast"
    assert machine.asked[-1] == ("candidate", "fast")
    assert timing.conditions["baselines_us"]["slow"] > 300


def test_a_candidate_well_behind_the_incumbent_stops_early() -> None:
    samples, censored = measure_interleaved(
        ["candidate"], ["sdpa"], Machine(candidate=200.0, sdpa=150.0).blocks, incumbent_low=1.4
    )
    assert censored and len(samples.kept) < LEAST_BLOCKS


def test_a_candidate_close_to_the_incumbent_is_measured_to_the_end() -> None:
    _, censored = measure_interleaved(
        ["candidate"], ["sdpa"], Machine(candidate=100.0, sdpa=150.0).blocks, incumbent_low=1.51
    )
    assert not censored


def test_blocks_that_other_work_disturbed_do_not_count() -> None:
    samples, _ = measure_interleaved(
        ["candidate"], ["sdpa"], Machine(disturbed=0.3, candidate=100.0, sdpa=150.0).blocks, None
    )
    assert len(samples.kept) < MOST_BLOCKS / 3 and samples.why_dropped == "met other work on the machine"
    assert samples.too_disturbed


def test_blocks_that_others_disturbed_are_counted_before_the_first_that_counts_too() -> None:
    quiet = Block({"candidate": (1.0, 1.0)}, ())
    disturbed = Block({"candidate": (9.0, 9.0)}, (), Conditions(disturbed=0.3))
    samples = NO_SAMPLES.joined([disturbed] * 5 + [quiet] * 5)
    assert samples.kept == (quiet,) * 5 and samples.dropped == 5 and samples.too_disturbed


def test_blocks_at_another_clock_than_usual_do_not_count() -> None:
    steady = Block({"candidate": (1.0, 1.0)}, (), Conditions(clock_mhz=1980.0))
    slow = Block({"candidate": (9.0, 9.0)}, (), Conditions(clock_mhz=1890.0))
    samples = NO_SAMPLES.joined([steady] * 9 + [slow])
    assert samples.dropped == 1 and samples.median_us("candidate") == 1.0 and not samples.too_disturbed
    assert samples.joined([slow] * 2).too_disturbed


def test_blocks_from_before_a_device_reached_its_power_limit_do_not_count_and_are_no_disturbance() -> None:
    early = Block({"candidate": (1.0, 1.0), "slow": (4.0, 4.0), "fast": (2.0, 2.0)}, (), Conditions(clock_mhz=1980.0))
    late = Block({"candidate": (1.2, 1.2), "fast": (2.4, 2.4)}, (), Conditions(clock_mhz=1700.0))
    samples = NO_SAMPLES.joined([early] * 10 + [late] * 10)
    assert samples.kept == (late,) * 10 and samples.dropped == 0 and not samples.too_disturbed
    timing = summarise(samples, "candidate", "build", ["slow", "fast"], "mission", "cold", False, {})
    assert timing.baseline == "fast" and timing.speedup == pytest.approx(2)


def test_a_device_at_its_power_limit_disturbs_itself() -> None:
    def block(clock: float, *throttled: str) -> Block:
        return Block({"candidate": (1.0, 1.0)}, (), Conditions(clock_mhz=clock, throttled=throttled))

    steady, capped = block(1980.0), block(1815.0, POWER_CAP)
    samples = NO_SAMPLES.joined([steady, steady, capped] * 10)
    assert samples.kept == (steady,) * 20 and samples.dropped == 0 and not samples.too_disturbed
    hot = NO_SAMPLES.joined([steady, steady, block(1815.0, "software thermal")] * 10)
    assert hot.kept == (steady,) * 20 and hot.dropped == 10 and hot.too_disturbed
    assert hot.why_dropped == "had another clock, between 1815 and 1980 MHz (software thermal)"


def test_a_baseline_that_a_first_estimate_shows_to_be_hopeless_is_not_timed() -> None:
    estimates = {"cudnn": 9.0, "flash": 10.0, "math": 60.0}
    assert plausible_opponents(tuple(estimates), estimates) == ("cudnn", "flash")
    assert plausible_opponents(("fp16", "fp32"), {}) == ("fp16", "fp32")


def test_of_several_runs_the_one_with_the_fastest_opponent_counts() -> None:
    runs = []
    for opponent in (150.0, 130.0, 180.0):
        samples, _ = measure_interleaved(["candidate"], ["sdpa"], Machine(candidate=100.0, sdpa=opponent).blocks, None)
        runs.append({"candidate": (summarise(samples, "candidate", "build", ["sdpa"], "mission", "cold", False, {}),)})
    [chosen] = most_cautious(runs).values()
    assert chosen[0].speedup == pytest.approx(1.3, rel=0.01)


def test_a_trial_in_the_search_is_timed_to_fewer_blocks() -> None:
    machine = Machine(noise=0.2, candidate=100.0, sdpa=150.0)
    samples, _ = measure_interleaved(["candidate"], ["sdpa"], machine.blocks, None, SEARCH_BLOCKS)
    assert len(samples.blocks) == SEARCH_BLOCKS < MOST_BLOCKS
