"""The benchmark of a whole search: its table, and the winner beside each baseline."""

from typing import Any

from benchmarks.search import Run, table_line
from benchmarks.shared.speedups import over_baselines

BEST = {"speedup": 2.1, "speedup_low": 2.09, "speedup_high": 2.11, "baseline": "sdpa_cudnn", "median_us": 4.84}


def test_a_line_has_its_throughput_beside_the_first_ones() -> None:
    result: dict[str, Any] = {"best": BEST, "passed": 398, "idle_share": 0.025}
    one, four = Run(1, 400, 200.0, 160.0, result, {}), Run(4, 400, 90.0, 42.0, result, {})

    best = "4.84 us, 2.10x [2.09, 2.11] sdpa_cudnn"
    assert table_line(four, one) == f"| 4 | 400 | 398 | 90 | 42 | 571 | 3.81x | 2.5% | {best} |"
    cpu = Run(0, 400, 200.0, 160.0, {**result, "idle_share": None}, {})
    assert table_line(cpu, cpu) == f"|  | 400 | 398 | 200 | 160 | 150 | 1.00x |  | {best} |"


def test_a_baseline_without_a_timed_block_has_no_ratio() -> None:
    samples = {"candidate 3": [(1.0, 1.0), (2.0, 2.0)], "sdpa_flash": [(3.0, 3.0)], "sdpa_math": []}
    assert over_baselines(samples) == {"sdpa_flash": 3.0}
