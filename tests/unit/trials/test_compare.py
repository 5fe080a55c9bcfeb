"""The verdict on two kernels from an interval, and its text."""

from __future__ import annotations

import pytest

from evotune.display.comparison import comparison_text
from evotune.trials.compare import Comparison, Verdict, verdict
from evotune_workers.timing.statistics import Interval


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1.001, 1.02, "faster"),
        (0.97, 0.999, "slower"),
        (0.99, 1.01, "no difference seen"),
        (1.0, 1.02, "no difference seen"),
        (0.98, 1.0, "no difference seen"),
    ],
)
def test_only_an_interval_without_1_names_a_winner(low: float, high: float, said: Verdict) -> None:
    assert verdict(Interval((low + high) / 2, low, high)) == said


def test_the_verdict_comes_with_its_interval_and_both_times() -> None:
    found = Comparison(
        workload="mission",
        device="NVIDIA L4",
        first="trial 5",
        second="trial 3",
        first_us=8.125,
        second_us=8.5,
        speedup=1.046,
        speedup_low=1.04,
        speedup_high=1.05,
        verdict="faster",
    )
    assert comparison_text(found).splitlines() == [
        "trial 5 against trial 3 at mission on NVIDIA L4",
        "trial 5 is faster: 1.046x [1.040, 1.050], 8.125 us against 8.5 us",
    ]
