"""Fused attention forward: softmax(Q K^T / sqrt(D)) V, in FP16 or FP32, causal or not.

Causal has the meaning of torch's `is_causal`: query i sees keys 0 to i, also when there are more or fewer keys than
queries. Tensors are contiguous [batch, heads, sequence, head_dim].
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from evotune_workers.kernel import (
    Baseline,
    Configuration,
    Cost,
    Inputs,
    Kernel,
    StructureCase,
    Value,
    Variant,
    Workload,
)

CPU_STAGES = ("cpu_task.h", "cpu_packing.h", "cpu_products.h", "cpu_softmax.h", "cpu_exponential.h")
CPU_FOUNDATION = ("cpu_workspace.h", "cpu_vectors.h", "cpu_parameters.h")
# Scores of 32 keys further along differ by 1 in the `rising` distribution, so that the running maximum moves at each
# tile of 32 keys or more.
RISING_KEYS = 32
# Scores that the reference holds at once: 16 MB in float64.
REFERENCE_SCORES = 1 << 21
# Queries that a head needs for the RMS of its errors to be compared by itself.
FEWEST_QUERIES = 32
# cpu.cpp lays its workspace out in groups of 16 floats (64 bytes), whatever the machine's vectors.
GROUP = 16


@dataclass(frozen=True)
class AttentionWorkload(Workload):
    """Shape and mask of one attention call; `queries` and `keys` are sequence lengths."""

    batch: int
    heads: int
    queries: int
    keys: int
    head_dim: int
    causal: bool = False

    @property
    def scale(self) -> float:
        """What scores are multiplied by before the softmax."""
        return 1.0 / math.sqrt(self.head_dim)

    @property
    def torch_dtype(self) -> torch.dtype:
        """The element type of all four tensors."""
        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype

    @property
    def batch_heads(self) -> int:
        """Heads of all batches together, which a kernel does not tell apart."""
        return self.batch * self.heads

    @property
    def query_shape(self) -> tuple[int, int, int, int]:
        """Shape of Q and of the output."""
        return (self.batch, self.heads, self.queries, self.head_dim)

    @property
    def key_shape(self) -> tuple[int, int, int, int]:
        """Shape of K and of V."""
        return (self.batch, self.heads, self.keys, self.head_dim)

    def visible_keys(self) -> torch.Tensor:
        """How many keys, counted from key 0, each query sees; shape (queries,)."""
        if not self.causal:
            return torch.full((self.queries,), self.keys)
        return torch.arange(1, self.queries + 1).clamp(max=self.keys)


MISSION = AttentionWorkload("mission", "float16", batch=1, heads=8, queries=512, keys=512, head_dim=64)


class AttentionForward(Kernel):
    """Attention forward; see README.md beside this file for the parameters of its variants."""

    name = "attention_fwd"
    variants = (Variant("cpu", ("cpu.cpp", *CPU_STAGES, *CPU_FOUNDATION), "attention_fwd"),)
    workloads = (
        MISSION,
        replace(MISSION, name="causal", causal=True),
        replace(MISSION, name="ragged", queries=500, keys=500),
        replace(MISSION, name="long", queries=2048, keys=2048),
        replace(MISSION, name="wide", head_dim=128),
        replace(MISSION, name="mission_fp32", dtype="float32"),
    )
    distributions = ("normal", "uniform", "peaky", "rising", "large")

    def inputs(self, workload: Workload, distribution: str, seed: int) -> Inputs:
        """Q, K and V, each from a random stream of its own.

        `uniform` is in [0, 1); the others start from a standard normal: `peaky` has Q x 4, `rising` has scores that
        grow along the keys, `large` has Q and K x 8 (scores of a standard deviation of 64 at D = 64).
        """
        shape = _attention(workload)
        if distribution not in self.distributions:
            known = ", ".join(self.distributions)
            raise ValueError(f"distribution must be one of {known}, got {distribution}; correct its name")
        sizes = {"q": shape.query_shape, "k": shape.key_shape, "v": shape.key_shape}
        q, k, v = (_random(size, distribution, seed, name) for name, size in sizes.items())
        if distribution == "peaky":
            q = q * 4
        elif distribution == "rising":
            q, k = _rising(q, k, shape)
        elif distribution == "large":
            q, k = q * 8, k * 8
        return tuple(tensor.to(shape.torch_dtype) for tensor in (q, k, v))

    def empty_output(self, workload: Workload) -> torch.Tensor:
        """Of Q's shape and dtype."""
        shape = _attention(workload)
        return torch.empty(shape.query_shape, dtype=shape.torch_dtype)

    def reference(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """Softmax written out, in float64, in pieces of heads and queries that keep the scores small."""
        shape = _attention(workload)
        q, k, v = (tensor.double().flatten(0, 1) for tensor in inputs)
        output = torch.empty(q.shape, dtype=torch.float64)
        hidden = torch.arange(shape.keys) >= shape.visible_keys()[:, None]
        row_step = max(1, REFERENCE_SCORES // shape.keys)
        head_step = max(1, row_step // shape.queries)
        for head in range(0, len(q), head_step):
            heads = slice(head, head + head_step)
            for row in range(0, shape.queries, row_step):
                rows = slice(row, row + row_step)
                scores = (q[heads, rows] @ k[heads].mT * shape.scale).masked_fill_(hidden[rows], -math.inf)
                output[heads, rows] = scores.softmax(dim=-1) @ v[heads]
        return output.view(shape.query_shape)

    def baselines(self, workload: Workload, target: str) -> tuple[Baseline, ...]:
        """SDPA in the workload's dtype, and for FP16 also SDPA in FP32 with the conversions counted."""
        pinned = self.pinned_baseline(workload, target)
        if workload.dtype == "float32":
            return (pinned,)
        causal = _attention(workload).causal

        def upcast(inputs: Inputs) -> torch.Tensor:
            return _flash(tuple(tensor.float() for tensor in inputs), causal).to(inputs[0].dtype)

        return (pinned, Baseline("sdpa_fp32_upcast", upcast))

    def pinned_baseline(self, workload: Workload, target: str) -> Baseline:
        """SDPA's flash backend in the workload's own dtype; ValueError for a target other than cpu."""
        if target != "cpu":
            raise ValueError(f"target must be cpu, the only one with baselines, got {target}; use --target cpu")
        causal = _attention(workload).causal
        name = "sdpa_fp32" if workload.dtype == "float32" else "sdpa_fp16"
        return Baseline(name, lambda inputs: _flash(inputs, causal))

    def error_groups(self, workload: Workload) -> int:
        """One for each head of each batch; all heads together where a head is too small for an RMS of its own.

        Errors in FP32 are a few random roundings: over a handful of queries their RMS says as much about luck as about
        the kernel. A head that is truly wrong still exceeds the limits by orders of magnitude.
        """
        shape = _attention(workload)
        return shape.batch_heads if shape.queries >= FEWEST_QUERIES else 1

    def cost(self, workload: Workload) -> Cost:
        """Two products of 2 D operations for each visible pair; Q, output and visible K and V moved once."""
        shape = _attention(workload)
        visible = shape.visible_keys()
        rows = 2 * shape.queries + 2 * int(visible.max())
        features = shape.batch_heads * shape.head_dim
        return Cost(4.0 * features * int(visible.sum()), float(features * rows * shape.torch_dtype.itemsize))

    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """The head size and the element type; everything else is an argument."""
        shape = _attention(workload)
        return {"HEAD_DIM": shape.head_dim, "ELEMENT_BITS": 8 * shape.torch_dtype.itemsize}

    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """`shared_memory`: bytes that a thread works in during one tile of queries and keys; `threads`."""
        shape = _attention(workload)
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        value_bytes = shape.torch_dtype.itemsize if configuration["value_packing"] == "direct" else 4
        query_and_output = 2 * tile_m * shape.head_dim * 4
        keys_and_values = tile_n * shape.head_dim * (4 + value_bytes)
        shared_memory = query_and_output + keys_and_values + 4 * _score_floats(configuration)
        return {"shared_memory": shared_memory, "threads": int(configuration["threads"])}

    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """What cpu.cpp's `attention_fwd_workspace_bytes` says of the same sizes."""
        shape = _attention(workload)
        keys = _round_up(shape.keys, int(configuration["block_cols"])) * shape.head_dim
        values = shape.keys * shape.head_dim
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        of_rows = 2 * tile_m * (shape.head_dim + GROUP) + 2 * _round_up(tile_m + GROUP, GROUP)
        floats_of_thread = of_rows + _score_floats(configuration)
        floats_shared = 0
        for packing, floats in ((configuration["key_packing"], keys), (configuration["value_packing"], values)):
            floats_of_thread += {"tile": tile_n * shape.head_dim, "head": floats}.get(str(packing), 0)
            floats_shared += shape.batch_heads * floats if packing == "shared" else 0
        return 4 * (floats_shared + int(configuration["threads"]) * floats_of_thread + GROUP)

    def arguments(
        self, workload: Workload, inputs: Inputs, output: torch.Tensor, workspace: torch.Tensor
    ) -> tuple[torch.Tensor | np.generic, ...]:
        """q, k, v, out, workspace, batch x heads, queries, keys, scale, causal."""
        shape = _attention(workload)
        sizes = (np.int64(shape.batch_heads), np.int64(shape.queries), np.int64(shape.keys))
        return (*inputs, output, workspace, *sizes, np.float32(shape.scale), np.int32(shape.causal))

    def structure(self, workload: Workload) -> tuple[StructureCase, ...]:
        """Each stage by itself: indexing (one-hot weights), normalisation (constant V), product with V (mean)."""
        shape = _attention(workload)
        return (_one_hot_case(shape), _constant_case(self, shape), _mean_case(self, shape))

    def tails(self, workload: Workload, configuration: Configuration) -> tuple[Workload, ...]:
        """Shapes around the tiles, primes, a single query or key, more queries than keys and the reverse."""
        shape = _attention(workload)
        m, n = int(configuration["tile_m"]), int(configuration["tile_n"])
        around = [(3, m + 1, n + 1), (8, max(m - 1, 1), max(n - 1, 1)), (3, _prime_above(n), _prime_above(m))]
        small = [(1, 1, 1, False), (3, 5, 3, True), (61, 1, 17, False), (61, 13, 7, True), (8, 7, 31, True)]
        sizes = [(*size, causal) for size in around for causal in (False, True)] + small
        return tuple(_tail(shape, *size) for size in sizes)

    def repeatability(self, workload: Workload) -> Workload:
        """A quarter of the heads, at least two."""
        shape = _attention(workload)
        return replace(shape, name=f"{shape.name}-quarter", heads=max(2, shape.heads // 4))


def _attention(workload: Workload) -> AttentionWorkload:
    if not isinstance(workload, AttentionWorkload):
        found = type(workload).__name__
        raise TypeError(f"workload must be an AttentionWorkload, got {found}; use one of the kernel's")
    return workload


def _flash(inputs: Inputs, causal: bool) -> torch.Tensor:
    # The operator that scaled_dot_product_attention dispatches to on a CPU, named, so that it can be no other backend;
    # torch.nn.attention.sdpa_kernel would force it too, at 12 us a call.
    output: torch.Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*inputs, 0.0, causal)[0]
    return output


def _random(shape: tuple[int, ...], distribution: str, seed: int, tensor: str) -> torch.Tensor:
    """float32 from a stream that depends on all of seed, distribution and tensor."""
    digest = hashlib.sha256(f"{seed}/{distribution}/{tensor}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
    draw = torch.rand if distribution == "uniform" else torch.randn
    return draw(shape, generator=generator)


def _rising(q: torch.Tensor, k: torch.Tensor, shape: AttentionWorkload) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of half size on queries of ones and keys of a ramp, whose product scaled grows by 1 in 32 keys."""
    ramp = torch.arange(shape.keys) / (RISING_KEYS * shape.scale * shape.head_dim)
    return 1 + q / 2, ramp[:, None] + k / 2


def _one_hot_case(shape: AttentionWorkload) -> StructureCase:
    """Each query repeats the code of one key, and V's rows say which key and feature they are."""
    query = torch.arange(shape.queries)
    chosen = (7 * query + 3) % shape.visible_keys()
    codes = _key_codes(shape)
    head = torch.arange(shape.batch_heads).view(shape.batch, shape.heads, 1, 1)
    key, feature = torch.arange(shape.keys)[:, None], torch.arange(shape.head_dim)
    # Integers in [-1024, 1024) are exact in FP16; 31 and 517 are odd, so that neighbours in any index differ.
    v = ((key + 31 * feature + 517 * head) % 2048 - 1024).to(shape.torch_dtype)
    k = codes.expand(shape.key_shape).contiguous()
    q = codes[chosen].expand(shape.query_shape).contiguous()
    return StructureCase("one_hot", (q, k, v), v[:, :, chosen].double(), tolerance=0.0)


def _key_codes(shape: AttentionWorkload) -> torch.Tensor:
    """A row of +-16 for each key: its number in binary, each bit repeated as often as head_dim allows.

    Rows of different keys differ in at least `repeats` places, so their score lies 2 * 16^2 * repeats * scale below
    that of a row with itself: 320 at 2048 keys and D = 64, where e^-104 is already 0 in FP32.
    """
    bits = max(1, (shape.keys - 1).bit_length())
    repeats = shape.head_dim // bits
    binary = (torch.arange(shape.keys)[:, None] >> torch.arange(bits)) & 1
    codes = torch.zeros(shape.keys, shape.head_dim)
    codes[:, : bits * repeats] = (32.0 * binary - 16.0).repeat_interleave(repeats, dim=1)
    return codes.to(shape.torch_dtype)


def _constant_case(kernel: Kernel, shape: AttentionWorkload) -> StructureCase:
    """V is the same row at every key, so whatever the weights, so is the output."""
    q, k, _ = kernel.inputs(shape, "normal", seed=0)
    row = torch.linspace(-2, 2, shape.head_dim).to(shape.torch_dtype)
    v = row.expand(shape.key_shape).contiguous()
    expected = row.double().expand(shape.query_shape)
    return StructureCase("constant_value", (q, k, v), expected, _rounding(shape, v, expected))


def _mean_case(kernel: Kernel, shape: AttentionWorkload) -> StructureCase:
    """Q is zero, so all scores are equal and every row is the mean of the values that it sees."""
    q, k, v = kernel.inputs(shape, "normal", seed=0)
    q = torch.zeros_like(q)
    visible = shape.visible_keys()
    expected = v.double().cumsum(dim=2)[:, :, visible - 1] / visible[:, None]
    return StructureCase("uniform_scores", (q, k, v), expected, _rounding(shape, v, expected))


def _rounding(shape: AttentionWorkload, v: torch.Tensor, expected: torch.Tensor) -> float:
    """Two units in the last place of the output, plus the worst case of summing all keys one by one in FP32.

    The latter is n u max|v| with u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2).
    """
    output = 2 * torch.finfo(shape.torch_dtype).eps * expected.abs().max().item()
    return float(output + shape.keys * 2.0**-24 * v.abs().max().item())


def _tail(shape: AttentionWorkload, heads: int, queries: int, keys: int, causal: bool) -> AttentionWorkload:
    name = f"{heads}x{queries}x{keys}x{shape.head_dim}{' causal' if causal else ''}"
    return replace(shape, name=name, batch=1, heads=heads, queries=queries, keys=keys, causal=causal)


def _prime_above(number: int) -> int:
    candidate = number + 1
    while any(candidate % divisor == 0 for divisor in range(2, math.isqrt(candidate) + 1)):
        candidate += 1
    return candidate


def _score_floats(configuration: Configuration) -> int:
    """Scores that a thread holds at once: those of a register block's rows, or of a whole tile's."""
    rows = configuration["block_rows" if configuration["loop_order"] == "rows" else "tile_m"]
    return int(rows) * (int(configuration["tile_n"]) + GROUP)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
