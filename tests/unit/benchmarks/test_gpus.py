"""The line of the benchmark over GPUs of one host."""

from benchmarks.gpus_h200 import Run, table_line


def test_a_line_has_throughput_beside_its_bound() -> None:
    one = Run(1, 400, 398, {"timing": 2}, 200.0, 160.0, 0.025, 4.84)
    four = Run(4, 400, 400, {}, 90.0, 42.0, 0.06, 4.80)

    assert table_line(four, one) == "| 4 | 571 | 3.81x | 3.6x | 6.0% | 42 | 90 | 4.80 us |"
    assert table_line(one, one) == "| 1 | 150 | 1.00x |  | 2.5% | 160 | 200 | 4.84 us |"
