"""The stages before the output: what a build that stops there writes, and what it should have written.

Both variants write FP32 values [heads, queries, keys] in base 2; see sm80/recording.cuh and cpu_recording.h. What no
query of a tile sees is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from evotune_workers.kernel import Configuration, Inputs, Stage, StageValues, Workload

from .workload import AttentionWorkload, attention

# Most that an operation in FP32 loses, relative to its result: tensor cores cut off where others round (Fasi, Higham,
# Mikaitis and Pranesh, Numerical behavior of NVIDIA tensor cores, 2021).
UNIT = 2.0**-23

Shares = Callable[[Configuration, Workload], int]


class Scores(Stage):
    """Q K^T * scale, -inf where a query does not see a key."""

    name = "scores"

    def empty(self, configuration: Configuration, workload: Workload) -> torch.Tensor:
        """A score for each query and key."""
        shape = attention(workload)
        return torch.empty(shape.batch_heads, shape.queries, shape.keys, dtype=torch.float32)

    def values(
        self, configuration: Configuration, workload: Workload, inputs: Inputs, written: torch.Tensor
    ) -> StageValues:
        """Limit: the rounding of a product of D features and of its scale, see `_score_limits`."""
        shape = attention(workload)
        hidden = _hidden(shape, inputs)
        found = written.double() * math.log(2)
        expected = _scores(shape, inputs)
        return StageValues(_left_out(found, hidden, -math.inf), expected, _score_limits(shape, inputs))

    def tile(self, configuration: Configuration) -> tuple[int, int]:
        """Queries and keys of a tile."""
        return int(configuration["tile_m"]), int(configuration["tile_n"])


class Softmax(Stage):
    """The weights, each relative to the largest of its query.

    A build writes the logarithm of each weight with the running maximum that it was relative to, and of each query's
    sum over each of `shares` parts of the keys. So the maxima, exponentials and sums are looked at; the rescaling and
    merging of outputs belongs to the output.
    """

    name = "softmax"

    def __init__(self, shares: Shares) -> None:
        """`shares` says among how many warps and blocks the keys of a query are split."""
        self._shares = shares

    def empty(self, configuration: Configuration, workload: Workload) -> torch.Tensor:
        """A weight for each query and key, then a sum for each share and query."""
        shape = attention(workload)
        sums = shape.keys + self._shares(configuration, workload)
        return torch.empty(shape.batch_heads * shape.queries * sums, dtype=torch.float32)

    def values(
        self, configuration: Configuration, workload: Workload, inputs: Inputs, written: torch.Tensor
    ) -> StageValues:
        """Limit: what rounding makes of a weight and of its query's sum, see `_weight_limits`."""
        shape = attention(workload)
        rows = shape.batch_heads * shape.queries
        logarithms = written[: rows * shape.keys].view(shape.batch_heads, shape.queries, shape.keys).double()
        shares = written[rows * shape.keys :].view(-1, shape.batch_heads, shape.queries, 1).double()
        scores = _scores(shape, inputs)
        largest = scores.amax(dim=-1, keepdim=True)
        # found / (sum found) / (largest expected / sum expected), as one exponent.
        exponents = logarithms - _log2_of_sum(shares) + (scores.logsumexp(dim=-1, keepdim=True) - largest) / math.log(2)
        found = _left_out(exponents.exp2(), _hidden(shape, inputs), 0.0)
        return StageValues(found, (scores - largest).exp(), _weight_limits(shape, inputs, scores))

    def tile(self, configuration: Configuration) -> tuple[int, int]:
        """Queries and keys of a tile."""
        return int(configuration["tile_m"]), int(configuration["tile_n"])


def _scores(shape: AttentionWorkload, inputs: Inputs) -> torch.Tensor:
    q, k = (tensor.double().flatten(0, 1) for tensor in inputs[:2])
    return (q @ k.mT * shape.scale).masked_fill_(_hidden(shape, inputs), -math.inf)


def _hidden(shape: AttentionWorkload, inputs: Inputs) -> torch.Tensor:
    """Which keys a query does not see; [queries, keys]."""
    device = inputs[0].device
    return torch.arange(shape.keys, device=device) >= shape.visible_keys().to(device)[:, None]


def _left_out(found: torch.Tensor, hidden: torch.Tensor, value: float) -> torch.Tensor:
    """A tile that no query sees is not computed, and stays NaN; what is there of a hidden key must be `value`."""
    return torch.where(hidden & found.isnan(), value, found)


def _log2_of_sum(shares: torch.Tensor) -> torch.Tensor:
    """The logarithm of the sum over all shares, in base 2; a share that saw no key has -inf."""
    return (shares * math.log(2)).logsumexp(dim=0) / math.log(2)


def _score_limits(shape: AttentionWorkload, inputs: Inputs) -> torch.Tensor:
    """|error| <= n u sum |q_d k_d| * scale over n = D products and two factors (Higham, section 3.1); one a head."""
    q, k = (tensor.double().abs().flatten(0, 1) for tensor in inputs[:2])
    return (shape.head_dim + 2) * UNIT * shape.scale * (q @ k.mT).amax(dim=(1, 2), keepdim=True)


def _weight_limits(shape: AttentionWorkload, inputs: Inputs, scores: torch.Tensor) -> torch.Tensor:
    """Weights are rounded to the dtype before they are multiplied, and may be before they are summed.

    Beside that, FP32 rounds the sum over the keys, and, in a weight and in its sum, the score and the exponent.
    """
    rounded = torch.finfo(shape.torch_dtype).eps / 2
    exponents = UNIT * scores.masked_fill(scores.isinf(), 0.0).abs().amax(dim=(1, 2), keepdim=True)
    return rounded + shape.keys * UNIT + 2 * (_score_limits(shape, inputs) + exponents)
