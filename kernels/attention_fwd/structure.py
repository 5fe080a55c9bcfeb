"""Inputs with an exact output known by construction: a case for each stage of attention."""

from __future__ import annotations

import torch

from evotune_workers.kernel import Kernel, StructureCase

from .workload import AttentionWorkload

# An exponential may return the smallest normal FP32 number instead of 0. The largest value of V is 1024.
UNDERFLOW = 1024 * torch.finfo(torch.float32).tiny


def structure_cases(kernel: Kernel, shape: AttentionWorkload) -> tuple[StructureCase, ...]:
    """Return cases for indexing (one-hot weights), normalization (constant V) and the product with V (mean)."""
    return (_one_hot_case(shape), _constant_case(kernel, shape), _mean_case(kernel, shape))


def _one_hot_case(shape: AttentionWorkload) -> StructureCase:
    """Make each query equal to the code of one key; elements of V encode their key, feature and head."""
    query = torch.arange(shape.queries)
    chosen = (7 * query + 3) % shape.visible_keys()
    codes = _key_codes(shape)
    head = torch.arange(shape.batch_heads).view(shape.batch, shape.heads, 1, 1)
    key, feature = torch.arange(shape.keys)[:, None], torch.arange(shape.head_dim)
    # Integers in [-1024, 1024) are exact in FP16. 31 and 517 are odd, so elements with adjacent indices differ.
    v = ((key + 31 * feature + 517 * head) % 2048 - 1024).to(shape.torch_dtype)
    k = codes.expand(shape.key_shape).contiguous()
    q = codes[chosen].expand(shape.query_shape).contiguous()
    return StructureCase("one_hot", (q, k, v), v[:, :, chosen].double(), tolerance=shape.keys * UNDERFLOW)


def _key_codes(shape: AttentionWorkload) -> torch.Tensor:
    """Return a row of +-16 for each key: its number in binary, each bit repeated as often as head_dim allows.

    Rows of different keys differ in at least `repeats` elements. Their score is then lower than that of a row with
    itself by at least 2 * 16^2 * repeats * scale: 320 at 2048 keys and D = 64, where e^-104 is already 0 in FP32.
    """
    bits = max(1, (shape.keys - 1).bit_length())
    repeats = shape.head_dim // bits
    binary = (torch.arange(shape.keys)[:, None] >> torch.arange(bits)) & 1
    codes = torch.zeros(shape.keys, shape.head_dim)
    codes[:, : bits * repeats] = (32.0 * binary - 16.0).repeat_interleave(repeats, dim=1)
    return codes.to(shape.torch_dtype)


def _constant_case(kernel: Kernel, shape: AttentionWorkload) -> StructureCase:
    """Give every key the same row of V, so that the output is that row for any weights."""
    q, k, _ = kernel.inputs(shape, "normal", seed=0)
    row = torch.linspace(-2, 2, shape.head_dim).to(shape.torch_dtype)
    v = row.expand(shape.key_shape).contiguous()
    expected = row.double().expand(shape.query_shape)
    return StructureCase("constant_value", (q, k, v), expected, _rounding(shape, v, expected))


def _mean_case(kernel: Kernel, shape: AttentionWorkload) -> StructureCase:
    """Set Q to zero, so that all scores are equal and each row is the mean of the values that it sees."""
    q, k, v = kernel.inputs(shape, "normal", seed=0)
    q = torch.zeros_like(q)
    visible = shape.visible_keys()
    expected = v.double().cumsum(dim=2)[:, :, visible - 1] / visible[:, None]
    return StructureCase("uniform_scores", (q, k, v), expected, _rounding(shape, v, expected))


def _rounding(shape: AttentionWorkload, v: torch.Tensor, expected: torch.Tensor) -> float:
    """Return two units in the last place of the output, plus the worst error of a sequential FP32 sum over all keys.

    That error is n u max|v| with u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2).
    """
    output = 2 * torch.finfo(shape.torch_dtype).eps * expected.abs().max().item()
    return float(output + shape.keys * 2.0**-24 * v.abs().max().item())
