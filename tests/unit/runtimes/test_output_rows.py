"""Outputs of consecutive calls: which are intact, and whether they have the expected bits."""

from __future__ import annotations

import math

import pytest
import torch

from evotune_workers.runtimes.turns.output_rows import OutputRows
from evotune_workers.runtimes.turns.sides import LEAST_OUTPUTS, MOST_OUTPUT_BYTES, output_count


@pytest.fixture
def rows() -> OutputRows:
    return OutputRows(torch.full((3, 5), math.nan).half(), 6)


EXPECTED = [torch.randn(3, 5).half() for _ in range(3)]


def write(rows: OutputRows, calls: range) -> None:
    for number in calls:
        rows.output(number).copy_(EXPECTED[number % 3])


@pytest.mark.parametrize("first", [0, 1, 4, 5, 6, 100])
@pytest.mark.parametrize("calls", [1, 2, 6, 7, 20])
def test_every_intact_output_is_compared(rows: OutputRows, first: int, calls: int) -> None:
    rows.spoil(first, calls)
    intact = rows.intact(first, calls)
    assert len(intact) == min(calls, 6) and intact.stop == first + calls
    assert not rows.are_right(intact, EXPECTED)
    write(rows, range(first, first + calls))
    assert rows.are_right(intact, EXPECTED)
    for number in intact:
        last = rows.output(number).view(-1)[-1:]
        last.neg_()
        assert not rows.are_right(intact, EXPECTED)
        last.neg_()
    assert rows.are_right(intact, EXPECTED)


def test_only_the_outputs_of_the_calls_are_spoilt(rows: OutputRows) -> None:
    write(rows, range(6))
    rows.spoil(4, 3)
    spoilt = {number for number in range(6) if bool(rows.output(number).isnan().all())}
    assert spoilt == {4, 5, 0}
    assert rows.are_right(range(1, 4), EXPECTED)


@pytest.mark.parametrize("contents", [1, 3])
@pytest.mark.parametrize("sets", [1, 3, 6, 510, 5121])
@pytest.mark.parametrize("output_bytes", [64, 1 << 20, 1 << 30])
def test_an_outputs_number_tells_its_content_and_the_table_stays_small(
    contents: int, sets: int, output_bytes: int
) -> None:
    sets *= contents
    count = output_count(sets, contents, output_bytes)
    assert count % contents == 0 and count >= LEAST_OUTPUTS
    assert math.lcm(count, sets) <= 4 * sets
    assert count * output_bytes <= max(MOST_OUTPUT_BYTES, 2 * LEAST_OUTPUTS * output_bytes)
