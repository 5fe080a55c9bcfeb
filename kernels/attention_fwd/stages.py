"""Stages before the output: how to read the values that a build writes there, and the exact values.

Both variants write FP32 values [heads, queries, keys] in base 2, as sm80/stage_recorder.cuh and cpu_stage_recorder.h
describe. Keys that no query of a tile sees are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from evotune_workers.kernel import Configuration, Inputs, Stage, StageValues, Workload

from .workload import AttentionWorkload, attention

# Largest relative error of one FP32 operation. Tensor cores truncate where other units round (Fasi, Higham, Mikaitis
# and Pranesh, Numerical behavior of NVIDIA tensor cores, 2021).
UNIT = 2.0**-23

# Returns how many warps, of one CTA or several, divide the keys of a query.
KeyGroups = Callable[[Configuration, Workload], int]


class Scores(Stage):
    """The scores Q K^T * scale, with -inf where a query does not see a key."""

    name = "scores"

    def empty(self, configuration: Configuration, workload: Workload) -> torch.Tensor:
        """Return an uninitialized score for each query and key."""
        shape = attention(workload)
        return torch.empty(shape.batch_heads, shape.queries, shape.keys, dtype=torch.float32)

    def values(
        self, configuration: Configuration, workload: Workload, inputs: Inputs, written: torch.Tensor
    ) -> StageValues:
        """Return found and exact scores; the limit is the rounding of a product and its scale (`_score_limits`)."""
        shape = attention(workload)
        hidden = _hidden(shape, inputs)
        found = written.double() * math.log(2)
        expected = _scores(shape, inputs)
        return StageValues(_fill_left_out(found, hidden, -math.inf), expected, _score_limits(shape, inputs))

    def tile(self, configuration: Configuration) -> tuple[int, int]:
        """Return the queries and keys of a tile."""
        return int(configuration["tile_m"]), int(configuration["tile_n"])


class Softmax(Stage):
    """The weights, each relative to the largest weight of its query.

    A build writes the logarithm of each weight plus the running maximum that it is relative to. For each key group it
    also writes the logarithm of each query's sum. This compares maxima, exponentials and sums; the rescaling and
    merging of outputs belongs to the output.
    """

    name = "softmax"

    def __init__(self, key_groups: KeyGroups) -> None:
        """Create the stage of a variant whose keys are divided among `key_groups` warps."""
        self._key_groups = key_groups

    def empty(self, configuration: Configuration, workload: Workload) -> torch.Tensor:
        """Return an uninitialized weight for each query and key, then a sum for each key group and query."""
        shape = attention(workload)
        sums = shape.keys + self._key_groups(configuration, workload)
        return torch.empty(shape.batch_heads * shape.queries * sums, dtype=torch.float32)

    def values(
        self, configuration: Configuration, workload: Workload, inputs: Inputs, written: torch.Tensor
    ) -> StageValues:
        """Return found and exact weights; the limit is the rounding of a weight and its sum (`_weight_limits`)."""
        shape = attention(workload)
        rows = shape.batch_heads * shape.queries
        logarithms = written[: rows * shape.keys].view(shape.batch_heads, shape.queries, shape.keys).double()
        group_sums = written[rows * shape.keys :].view(-1, shape.batch_heads, shape.queries, 1).double()
        scores = _scores(shape, inputs)
        largest = scores.amax(dim=-1, keepdim=True)
        # (found / sum of found) / (largest expected / sum of expected), as one exponent.
        exponents = (
            logarithms - _log2_of_sum(group_sums) + (scores.logsumexp(dim=-1, keepdim=True) - largest) / math.log(2)
        )
        found = _fill_left_out(exponents.exp2(), _hidden(shape, inputs), 0.0)
        return StageValues(found, (scores - largest).exp(), _weight_limits(shape, inputs, scores))

    def tile(self, configuration: Configuration) -> tuple[int, int]:
        """Return the queries and keys of a tile."""
        return int(configuration["tile_m"]), int(configuration["tile_n"])


def _scores(shape: AttentionWorkload, inputs: Inputs) -> torch.Tensor:
    q, k = (tensor.double().flatten(0, 1) for tensor in inputs[:2])
    return (q @ k.mT * shape.scale).masked_fill_(_hidden(shape, inputs), -math.inf)


def _hidden(shape: AttentionWorkload, inputs: Inputs) -> torch.Tensor:
    """Return True for the keys that a query does not see; [queries, keys]."""
    device = inputs[0].device
    return torch.arange(shape.keys, device=device) >= shape.visible_keys().to(device)[:, None]


def _fill_left_out(found: torch.Tensor, hidden: torch.Tensor, value: float) -> torch.Tensor:
    """Replace NaN by `value` at hidden keys: a build does not compute tiles that no query sees."""
    return torch.where(hidden & found.isnan(), value, found)


def _log2_of_sum(group_sums: torch.Tensor) -> torch.Tensor:
    """Return the base 2 logarithm of the sum over all key groups; a group that saw no key has -inf."""
    return (group_sums * math.log(2)).logsumexp(dim=0) / math.log(2)


def _score_limits(shape: AttentionWorkload, inputs: Inputs) -> torch.Tensor:
    """Bound each head's error by n u sum |q_d k_d| * scale, n = D products and two factors (Higham, section 3.1)."""
    q, k = (tensor.double().abs().flatten(0, 1) for tensor in inputs[:2])
    return (shape.head_dim + 2) * UNIT * shape.scale * (q @ k.mT).amax(dim=(1, 2), keepdim=True)


def _weight_limits(shape: AttentionWorkload, inputs: Inputs, scores: torch.Tensor) -> torch.Tensor:
    """Bound the error of a weight by its rounding to the dtype and by the FP32 errors of score, exponent and sum.

    A build rounds weights to the dtype before the product with V, and may do so before it sums them.
    """
    rounded = torch.finfo(shape.torch_dtype).eps / 2
    exponents = UNIT * scores.masked_fill(scores.isinf(), 0.0).abs().amax(dim=(1, 2), keepdim=True)
    return rounded + shape.keys * UNIT + 2 * (_score_limits(shape, inputs) + exponents)
