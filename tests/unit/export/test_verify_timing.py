"""The inputs on which an exported package times itself."""

from __future__ import annotations

import importlib

import pytest
import torch

verify_timing = importlib.import_module("evotune.export.templates.package.verify_timing")
CPU = torch.device("cpu")


def inputs(seed: int) -> tuple[torch.Tensor, ...]:
    """64 bytes."""
    return (torch.full((16,), float(seed)),)


def test_small_inputs_and_a_large_cache_take_a_limited_number_of_sets_and_it_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sets = verify_timing._input_sets(inputs, 5 << 30, CPU)
    assert len(sets) == len({tensors[0].data_ptr() for tensors in sets}) == 16_384
    assert "16,384 of 83,886,080 sets of inputs" in capsys.readouterr().out


def test_as_many_sets_as_exceed_the_cache_are_made_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(verify_timing._input_sets(inputs, 6_400, CPU)) == 100
    assert len(verify_timing._input_sets(inputs, 0, CPU)) == 1
    assert not capsys.readouterr().out
