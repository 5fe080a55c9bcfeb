"""Inputs that a build has not met: how they are made, and what their times say."""

from __future__ import annotations

import pytest
import torch

from evotune_workers.runtimes.unseen import UnseenInputs, rolled
from evotune_workers.timing.protocol import LEAST_BLOCKS, Samples
from evotune_workers.timing.stopwatch import Block


@pytest.mark.parametrize("size", [1, 2, 3, 100, 4096])
def test_inputs_are_other_ones_for_a_while_and_then_what_they_were(size: int) -> None:
    contents = [tuple(torch.randn(size) for _ in range(3)) for _ in range(2)]
    sets = [tuple(tensor.clone() for tensor in contents[number % 2]) for number in range(4)]
    unseen = UnseenInputs(sets, contents)
    for _ in range(6):
        with unseen.changed([0, 1, 3]):
            assert unseen.roll is not None
            assert equal(sets[2], contents[0])
            changed = [not equal(sets[number], contents[number % 2]) for number in (0, 1, 3)]
            assert size < 4 or all(changed)
        assert all(equal(inputs, contents[number % 2]) for number, inputs in enumerate(sets))


def test_every_element_of_every_tensor_is_another_one() -> None:
    """A kernel may keep the parts of a result whose inputs have not changed."""
    content = (torch.arange(4096.0), torch.arange(64.0))
    sets = [tuple(tensor.clone() for tensor in content) for _ in range(8)]
    alike = [0, 0]
    for _ in range(20):
        with UnseenInputs(sets, [content]).changed(range(8)):
            for place, tensors in enumerate(zip(*sets, strict=True)):
                assert all(torch.equal(tensor.sort().values, content[place]) for tensor in tensors)
                alike[place] += sum(bool((tensor == content[place]).any()) for tensor in tensors)
    # An offset of 0 leaves a tensor as it is, once in as many draws as it has elements.
    assert alike[0] <= 2 and alike[1] <= 16


def test_sets_of_equal_content_become_different_ones() -> None:
    content = torch.randn(1024)
    sets = [(content.clone(),) for _ in range(8)]
    with UnseenInputs(sets, [(content,)]).changed(range(8)):
        assert len({inputs[0].numpy().tobytes() for inputs in sets}) == 8


def test_inputs_are_put_back_when_a_launch_fails() -> None:
    sets = [(torch.randn(64),)]
    before = sets[0][0].clone()
    with pytest.raises(RuntimeError), UnseenInputs(sets, [(before,)]).changed([0]):
        raise RuntimeError
    assert torch.equal(sets[0][0], before)


def test_the_sources_of_a_roll_are_what_the_sets_hold() -> None:
    contents = [(torch.randn(6, 5),), (torch.randn(6, 5),)]
    sets = [(contents[number % 2][0].clone(),) for number in range(4)]
    unseen = UnseenInputs(sets, contents)
    with unseen.changed(range(4)):
        assert unseen.roll is not None
        for number, (tensor,) in enumerate(sets):
            assert torch.equal(rolled(unseen.roll, contents[number % 2], number)[0], tensor)


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
