"""Copies of inputs for timing: how many there are, and where they lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from evotune_workers.kernel import Inputs
from evotune_workers.runtimes.buffer_sets import (
    ALIGNMENT_BYTES,
    MOST_BYTES,
    MOST_SETS,
    BufferPlan,
    BufferSets,
    allocate,
    bytes_of,
    plan_buffers,
    same_bits,
)

GIB = 1 << 30
SMALL, LARGE = (torch.empty(16),), (torch.empty(1 << 20), torch.empty(1 << 20))
KINDS = pytest.mark.parametrize("kind", ["cpu", "cuda"])


@KINDS
def test_what_memory_allows_is_not_limited_and_holds_every_content_equally_often(kind: str) -> None:
    assert plan_buffers(LARGE, 3, 160 << 20, 64 * GIB, kind) == BufferPlan(21)
    assert plan_buffers(LARGE, 3, 160 << 20, 22 * 8 * (8 << 20), kind) == BufferPlan(21)


@KINDS
def test_one_set_of_each_content_is_made_however_little_memory_is_free(kind: str) -> None:
    assert plan_buffers(LARGE, 1, 0, 0, kind) == BufferPlan(1)
    plan = plan_buffers(LARGE, 3, 160 << 20, 0, kind)
    assert plan.sets == 3 and plan.limited is not None


@KINDS
def test_small_inputs_and_a_large_cache_are_limited_in_number(kind: str) -> None:
    plan = plan_buffers(SMALL, 3, 5 * GIB, 64 * GIB, kind)
    assert MOST_SETS[kind] - 3 < plan.sets <= MOST_SETS[kind] and plan.sets % 3 == 0
    asked = 3 * math.ceil(5 * GIB / 64 / 3)
    assert plan.limited == (
        f"{plan.sets:,} of {asked:,} buffer sets (at most this number): inputs are evicted before every sample"
    )


@KINDS
def test_large_inputs_and_a_large_cache_are_limited_in_memory(kind: str) -> None:
    plan = plan_buffers(LARGE, 3, 5 * GIB, 64 * GIB, kind)
    assert plan.sets * (8 << 20) <= MOST_BYTES[kind] < (plan.sets + 4) * (8 << 20)
    assert plan.limited is not None and f"at most {MOST_BYTES[kind] >> 20:,} MiB" in plan.limited


def filled(contents: Sequence[Inputs], count: int) -> BufferSets:
    memory = torch.empty(bytes_of(contents[0], count), dtype=torch.uint8)
    return BufferSets(contents[0], BufferPlan(count), memory).fill(contents)


@KINDS
def test_little_free_memory_is_a_limit_that_is_named(kind: str) -> None:
    plan = plan_buffers(LARGE, 3, 160 << 20, 1 * GIB, kind)
    assert plan.sets * (8 << 20) <= GIB / 8
    assert plan.limited is not None and "(1,024 MiB of memory are free)" in plan.limited


@pytest.mark.parametrize("shape", [(), (5,), (16, 4), (3, 0)])
def test_sets_hold_the_contents_in_turn_at_aligned_addresses_of_their_own(shape: tuple[int, ...]) -> None:
    contents = [(torch.randn(shape), torch.randn(7).half(), torch.randint(99, (2, 3)).t()) for _ in range(3)]
    sets = filled(contents, 9)
    assert len(sets) == 9 and len(list(sets)) == 9
    for number, inputs in enumerate(sets):
        for tensor, expected in zip(inputs, contents[number % 3], strict=True):
            assert torch.equal(tensor, expected) and tensor.dtype == expected.dtype
            assert tensor.stride() == expected.stride()
            assert tensor.data_ptr() % ALIGNMENT_BYTES["cpu"] == 0
    for tensor in sets[4]:
        tensor.fill_(1)
    for number in (0, 1, 2, 3, 5, 6, 7, 8):
        assert all(torch.equal(*pair) for pair in zip(sets[number], contents[number % 3], strict=True))


def test_tensors_of_a_power_of_two_do_not_begin_at_the_same_place_of_their_pages() -> None:
    sets = filled([(torch.empty(1 << 14), torch.empty(1 << 14))], 8)
    assert len({tensor.data_ptr() % 4096 for inputs in sets for tensor in inputs}) == 16


@pytest.mark.parametrize(("first", "count", "numbers"), [(0, 2, [0, 1]), (7, 3, [1, 2, 3]), (5, 2, [5, 0])])
def test_the_memory_of_sets_in_turn_is_that_of_their_tensors(first: int, count: int, numbers: list[int]) -> None:
    sets = filled([(torch.zeros(16), torch.zeros(3))], 6)
    for memory in sets.memory(first, count):
        assert memory.is_contiguous()
        memory.fill_(0xFF)
    changed = [bool(sum(int(tensor.isnan().sum()) for tensor in inputs) == 19) for inputs in sets]
    assert [number for number, is_changed in enumerate(changed) if is_changed] == sorted(numbers)


@pytest.mark.parametrize("shape", [(), (5,), (4, 6)])
def test_outputs_of_other_bits_than_expected_are_seen(shape: tuple[int, ...]) -> None:
    expected = [torch.randn(shape) for _ in range(3)]
    memory, [outputs] = allocate((expected[0],), 6)
    for number, output in enumerate(outputs.unbind()):
        output.copy_(expected[number % 3])
    assert same_bits(memory, expected)
    outputs[4].view(-1)[-1:].neg_()
    assert not same_bits(memory, expected)
