"""The stages of attention judge the values that a build wrote."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from evotune.planning.locate import kernel_folder
from evotune_workers.diagnosis.comparison import Comparison, compare
from evotune_workers.kernel import Configuration, Stage
from evotune_workers.kernel.folder import load_kernel, named_workload

KERNEL = load_kernel(kernel_folder("attention_fwd"))
# Ragged, causal, with more keys than queries and the reverse.
WIDE: Any = replace(named_workload(KERNEL, "causal"), name="small", heads=2, queries=19, keys=37)  # type: ignore[call-arg]  # the kernel's own type
TALL: Any = replace(WIDE, queries=37, keys=19)
# 2 warps and 2 blocks share the keys.
SPLIT: Configuration = {"tile_m": 16, "tile_n": 32, "kv_warps": 2, "split_kv": 2, "split_merge": "workspace"}
SHARES = 4


def stage(name: str) -> Stage:
    return next(stage for stage in KERNEL.variant("sm80").stages if stage.name == name)


def scores(workload: Any, factor: float = 1.0) -> torch.Tensor:
    """In base 2, -inf where a query does not see a key."""
    q, k, _ = (tensor.double().flatten(0, 1) for tensor in KERNEL.inputs(workload, "peaky", 1))
    hidden = torch.arange(workload.keys) >= workload.visible_keys()[:, None]
    product: torch.Tensor = q @ k.mT * (workload.scale * factor / math.log(2))
    return product.masked_fill(hidden, -math.inf)


def softmax(workload: Any, exponents: torch.Tensor) -> torch.Tensor:
    """As a build writes it: each share takes every fourth key; most see none of an early query's."""
    shares = torch.stack([exponents[..., start::SHARES].mul(math.log(2)).logsumexp(-1) for start in range(SHARES)])
    return torch.cat([exponents.flatten(), (shares / math.log(2)).flatten()])


def look(name: str, workload: Any, written: torch.Tensor) -> Comparison:
    empty = stage(name).empty(SPLIT, workload)
    assert empty.shape == written.shape
    inputs = KERNEL.inputs(workload, "peaky", 1)
    return compare(stage(name).values(SPLIT, workload, inputs, written.to(empty.dtype)), stage(name).tile(SPLIT))


@pytest.mark.parametrize("workload", [WIDE, TALL], ids=["wide", "tall"])
def test_exact_values_in_fp32_are_right(workload: Any) -> None:
    assert look("scores", workload, scores(workload)).wrong == 0
    assert look("softmax", workload, softmax(workload, scores(workload))).wrong == 0


def test_what_a_tile_skips_may_be_missing_and_what_it_computes_may_not() -> None:
    exact = scores(WIDE)
    skipped = torch.where(exact.isinf(), math.nan, exact)
    assert look("scores", WIDE, skipped).wrong == 0
    sums = softmax(WIDE, exact)[exact.numel() :]
    assert look("softmax", WIDE, torch.cat([skipped.flatten(), sums])).wrong == 0
    missing = exact.clone()
    missing[1, 7, 3] = math.nan
    assert look("scores", WIDE, missing).first_wrong == (1, 7, 3)
    assert look("softmax", WIDE, torch.cat([missing.flatten(), sums])).first_wrong == (1, 7, 3)


def test_a_key_that_should_be_hidden_is_wrong() -> None:
    shown = scores(WIDE)
    shown[0, 4, 5] = 0.0
    assert (look("scores", WIDE, shown).wrong, look("scores", WIDE, shown).first_wrong) == (1, (0, 4, 5))
    found = look("softmax", WIDE, softmax(WIDE, shown))
    # The weight itself, and those that share their query's sum with it.
    assert found.wrong > 1 and found.first_wrong is not None and found.first_wrong[:2] == (0, 4)


def test_a_scale_that_is_one_in_a_thousand_off_is_wrong() -> None:
    assert look("scores", TALL, scores(TALL, 1.001)).wrong > 0
    assert look("softmax", TALL, softmax(TALL, scores(TALL, 1.001))).wrong > 0


def test_one_shares_sum_that_is_off_makes_its_querys_weights_wrong() -> None:
    written = softmax(TALL, scores(TALL))
    written[-1] += math.log2(1.5)
    found = look("softmax", TALL, written)
    assert found.first_wrong is not None and found.first_wrong[:2] == (1, TALL.queries - 1)
    assert 0 < found.wrong <= TALL.keys


def test_where_tiles_are_too_many_to_split_there_is_one_share_of_blocks() -> None:
    many = replace(WIDE, heads=64, queries=16 * 300, keys=16)
    rows, merged = many.batch_heads * many.queries, dict(SPLIT, split_merge="cluster")
    assert stage("softmax").empty(SPLIT, many).numel() == rows * (many.keys + 2)
    assert stage("softmax").empty(merged, many).numel() == rows * (many.keys + SHARES)
