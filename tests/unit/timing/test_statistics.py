"""The interval of a median."""

import numpy as np
import pytest

from evotune_workers.timing.statistics import mean_interval, median_interval


def test_the_interval_contains_the_median_and_is_deterministic() -> None:
    values = [1.0, 1.1, 0.9, 1.05, 0.95]
    interval = median_interval(values)
    assert interval.low <= interval.median <= interval.high
    assert interval == median_interval(values)


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        median_interval([])


def test_more_looks_make_the_interval_wider() -> None:
    values = list(np.random.default_rng(0).normal(1, 0.01, size=40))
    once, often = median_interval(values), median_interval(values, looks=11)
    assert often.low < once.low and once.high < often.high


def test_measuring_until_the_interval_is_narrow_still_covers_the_truth_19_times_in_20() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(100):
        values: list[float] = []
        while len(values) < 60:
            values += list(1 + 0.01 * rng.standard_normal(5))
            interval = median_interval(values, looks=11)
            if len(values) >= 10 and interval.half_width <= 0.005:
                break
        covered += interval.low <= 1 <= interval.high
    assert covered >= 95


def test_a_mean_of_few_ratios_has_students_interval() -> None:
    """Nineteen intervals in twenty of normal logarithms contain the truth."""
    draws = np.exp(np.random.default_rng(0).normal(np.log(1.1), 0.02, size=(2000, 12)))
    intervals = [mean_interval(ratios.tolist()) for ratios in draws]
    assert np.mean([each.low <= 1.1 <= each.high for each in intervals]) == pytest.approx(0.95, abs=0.015)
    assert all(each.low <= each.median <= each.high for each in intervals)
    with pytest.raises(ValueError, match="at least two values, got 1"):
        mean_interval([1.0])
