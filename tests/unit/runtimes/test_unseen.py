"""Inputs that a build has not met: how they are made, and what their times say."""

from __future__ import annotations

import pytest
import torch

from evotune_workers.runtimes.unseen import UnseenInputs
from evotune_workers.timing.protocol import LEAST_BLOCKS, Samples
from evotune_workers.timing.stopwatch import Block


@pytest.mark.parametrize("size", [1, 2, 3, 100, 4096])
def test_inputs_are_other_ones_for_a_while_and_then_what_they_were(size: int) -> None:
    sets = [tuple(torch.randn(size) for _ in range(3)) for _ in range(4)]
    before = [tuple(tensor.clone() for tensor in inputs) for inputs in sets]
    unseen = UnseenInputs(sets)
    for _ in range(6):
        with unseen.swapped(range(4)):
            assert unseen.swap is not None
            copies = [unseen.swap.swapped(inputs, number) for number, inputs in enumerate(before)]
            assert all(equal(one, other) for one, other in zip(copies, sets, strict=True))
            changed = [not equal(one, other) for one, other in zip(sets, before, strict=True)]
            assert all(changed) if size > 1 else not any(changed)
        assert all(equal(one, other) for one, other in zip(sets, before, strict=True))


def test_sets_of_equal_content_become_different_ones() -> None:
    content = torch.randn(1024)
    sets = [(content.clone(),) for _ in range(8)]
    with UnseenInputs(sets).swapped(range(8)):
        assert len({inputs[0].numpy().tobytes() for inputs in sets}) == 8


def test_inputs_are_put_back_when_a_launch_fails() -> None:
    sets = [(torch.randn(64),)]
    before = sets[0][0].clone()
    with pytest.raises(RuntimeError), UnseenInputs(sets).swapped([0]):
        raise RuntimeError
    assert torch.equal(sets[0][0], before)


def test_a_side_that_keeps_results_is_slower_on_unseen_inputs_whichever_half_they_come_in() -> None:
    assert ratio(*[(50.0, 1.0)] * LEAST_BLOCKS) == 50
    assert ratio(*[(1.0, 1.0)] * LEAST_BLOCKS) == 1


def test_noise_only_makes_the_ratio_smaller() -> None:
    """The baseline's threads had the cores, or others had: a tenth of the samples tells."""
    noisy = [(900.0, 1.0)] * (LEAST_BLOCKS - 1)
    assert ratio(*noisy, (1.0, 700.0)) == 1
    assert ratio(*[(1.0, 500.0)] * LEAST_BLOCKS) < 1


def test_a_few_blocks_say_nothing() -> None:
    assert ratio(*[(50.0, 1.0)] * (LEAST_BLOCKS - 1)) == 1


def ratio(*times: tuple[float, float]) -> float:
    """Make blocks with these times on unseen and on other inputs, in which each comes first in turn."""
    blocks = [
        Block({"candidate": pair if number % 2 == 0 else (pair[1], pair[0])}, (), unseen=number % 2)
        for number, pair in enumerate(times)
    ]
    return Samples(tuple(blocks)).unseen_ratio("candidate")


def equal(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
