"""The attention kernel's side of the contract, without a compiler."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from evotune.planning.locate import kernel_folder, space_file
from evotune.space.space_file import load_space
from evotune_workers.kernel import Configuration, Inputs, StructureCase, Workload
from evotune_workers.kernel.folder import load_kernel, named_workload

KERNEL = load_kernel(kernel_folder("attention_fwd"))
MISSION = named_workload(KERNEL, "mission")
CONFIGURATION: Configuration = {
    "tile_m": 48,
    "tile_n": 128,
    "block_rows": 6,
    "block_cols": 64,
    "threads": 2,
    "key_packing": "head",
    "value_packing": "direct",
    "loop_order": "panels",
}
AVX512 = {"vector_bytes": 64, "vector_registers": 32}
AVX2 = {"vector_bytes": 32, "vector_registers": 16}
NEON = {"vector_bytes": 16, "vector_registers": 32}


def shape(**changes: Any) -> Workload:
    return replace(MISSION, **{"name": "small", "heads": 2, "queries": 40, "keys": 33, **changes})


def attention(workload: Workload, inputs: Inputs) -> torch.Tensor:
    """Compute softmax attention in float64 with torch's own function."""
    causal, q, k, v = workload.causal, *(tensor.double() for tensor in inputs)  # type: ignore[attr-defined]  # a field of the kernel's own type
    with sdpa_kernel(SDPBackend.MATH):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)


def case(workload: Workload, name: str) -> StructureCase:
    return next(case for case in KERNEL.structure(workload) if case.name == name)


def test_the_first_workload_is_the_mission() -> None:
    assert KERNEL.workloads[0] is MISSION
    assert [tuple(tensor.shape) for tensor in KERNEL.inputs(MISSION, "normal", 1)] == [(1, 8, 512, 64)] * 3
    assert KERNEL.cost(MISSION).flops == 4 * 8 * 512 * 512 * 64
    assert KERNEL.cost(MISSION).bytes == 4 * 8 * 512 * 64 * 2


def test_every_file_of_the_cpu_variant_counts_towards_its_builds() -> None:
    folder = kernel_folder("attention_fwd")
    assert set(KERNEL.variant("cpu").sources) == {path.name for path in folder.glob("cpu*") if path.suffix != ".py"}
    assert KERNEL.variant("cpu").sources[0] == "cpu.cpp"


def test_a_causal_call_costs_the_visible_pairs_only() -> None:
    visible = sum(min(query + 1, 33) for query in range(40))
    assert KERNEL.cost(shape(causal=True)).flops == 4 * 2 * visible * 64
    assert KERNEL.cost(shape(causal=True, queries=10)).bytes == 2 * 4 * 10 * 64 * 2


@pytest.mark.parametrize("distribution", KERNEL.distributions)
def test_inputs_depend_on_seed_distribution_and_tensor_only(distribution: str) -> None:
    first, again = (KERNEL.inputs(shape(), distribution, 1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[1], first[2])
    assert not torch.equal(first[0], KERNEL.inputs(shape(), distribution, 2)[0])
    assert all(tensor.dtype == torch.float16 and tensor.is_contiguous() for tensor in first)


def test_a_misspelt_distribution_is_refused() -> None:
    with pytest.raises(ValueError, match=r"distribution must be one of normal, uniform, .*got peeky"):
        KERNEL.inputs(MISSION, "peeky", 1)


def test_rising_scores_move_the_running_maximum_at_every_tile() -> None:
    q, k, _ = KERNEL.inputs(MISSION, "rising", 1)
    tiles = (q.float() @ k.float().mT / 8).view(1, 8, 512, 8, 64).amax(-1)
    assert (tiles.diff(dim=-1) > 0).float().mean() > 0.95


def test_large_logits_reach_hundreds() -> None:
    q, k, _ = KERNEL.inputs(MISSION, "large", 1)
    assert (q.float() @ k.float().mT / 8).abs().max() > 200


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(40, 33), (33, 40), (1, 7), (1100, 3)])
def test_the_reference_is_torchs_attention(causal: bool, queries: int, keys: int) -> None:
    workload = shape(causal=causal, queries=queries, keys=keys)
    inputs = KERNEL.inputs(workload, "normal", 3)
    torch.testing.assert_close(KERNEL.reference(workload, inputs), attention(workload, inputs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("workload", KERNEL.workloads, ids=lambda workload: workload.name)
def test_every_baseline_runs_at_every_workload(workload: Any) -> None:
    """With a few of its heads and queries: how many there are is the same to a baseline, and takes a CPU minutes."""
    workload = replace(workload, batch=1, heads=min(workload.heads, 2), queries=min(workload.queries, 128))
    inputs = KERNEL.inputs(workload, "normal", 1)
    reference = KERNEL.reference(workload, inputs)
    baselines = KERNEL.baselines(workload, "cpu")
    names = [baseline.name for baseline in baselines]
    assert names == (["sdpa_fp32"] if workload.dtype == "float32" else ["sdpa_fp16", "sdpa_fp32_upcast"])
    assert KERNEL.pinned_baseline(workload, "cpu").name == names[0]
    for baseline in baselines:
        output = baseline.run(inputs)
        assert output.dtype == inputs[0].dtype
        torch.testing.assert_close(output.double(), reference, rtol=0, atol=5e-3)


def test_every_sdpa_backend_is_a_baseline_on_a_gpu_and_flash_is_pinned() -> None:
    names = [baseline.name for baseline in KERNEL.baselines(MISSION, "sm_89")]
    assert names == ["sdpa_flash", "sdpa_cudnn", "sdpa_efficient", "sdpa_math"]
    assert KERNEL.pinned_baseline(MISSION, "sm_89").name == "sdpa_flash"


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(40, 33), (33, 40), (300, 2048), (1, 1)])
def test_structure_cases_expect_what_attention_gives(dtype: str, causal: bool, queries: int, keys: int) -> None:
    workload = shape(dtype=dtype, causal=causal, queries=queries, keys=keys)
    for structure in KERNEL.structure(workload):
        exact = attention(workload, structure.inputs)
        assert (exact - structure.expected).abs().max().item() <= max(structure.tolerance / 2, 1e-12), structure.name


def test_one_hot_scores_are_far_enough_apart_to_vanish_in_fp32() -> None:
    long = named_workload(KERNEL, "long")
    q, k, _ = case(long, "one_hot").inputs
    scores = (q[0, 0].float() @ k[0, 0].float().T / 8).sort(dim=-1).values
    assert (scores[:, -1] - scores[:, -2]).min() > -math.log(2.0**-149)


def test_one_hot_values_tell_key_and_feature_apart() -> None:
    v = case(MISSION, "one_hot").inputs[2][0, 0]
    assert len(set(v[:, 0].tolist())) == v.shape[0] and len(set(v[0].tolist())) == v.shape[1]


def test_tails_surround_the_tiles_and_share_the_build() -> None:
    tails = KERNEL.tails(MISSION, CONFIGURATION)
    sizes = {(t.heads, t.queries, t.keys, t.causal) for t in tails}  # type: ignore[attr-defined]  # the kernel's own type
    assert {heads for heads, *_ in sizes} == {1, 3, 8, 61}
    assert (3, 49, 129, True) in sizes and (8, 47, 127, False) in sizes and (1, 1, 1, False) in sizes
    assert any(queries > keys for _, queries, keys, _ in sizes) and any(q < k for _, q, k, _ in sizes)
    assert all(
        KERNEL.variant("cpu").build_macros(tail) == KERNEL.variant("cpu").build_macros(MISSION) for tail in tails
    )
    assert sum(KERNEL.cost(tail).flops for tail in tails) < 2 * KERNEL.cost(MISSION).flops


def test_repeatability_runs_a_quarter_of_the_heads() -> None:
    assert KERNEL.repeatability(MISSION) == shape(name="mission-quarter", heads=2, queries=512, keys=512)
    assert KERNEL.repeatability(shape(heads=1)) == shape(name="small-quarter", heads=2)


def test_errors_are_judged_by_head_unless_a_head_is_tiny() -> None:
    assert KERNEL.error_groups(MISSION) == 8
    assert KERNEL.error_groups(shape(heads=61, queries=1)) == 1


def test_derived_quantities_follow_the_configuration() -> None:
    derived = KERNEL.variant("cpu").derived(CONFIGURATION, MISSION)
    query_and_output, keys_and_values, scores = 2 * 48 * 64 * 4, 128 * 64 * (4 + 2), 48 * (128 + 16) * 4
    assert derived == {"shared_memory": query_and_output + keys_and_values + scores, "threads": 2}
    by_rows = KERNEL.variant("cpu").derived({**CONFIGURATION, "loop_order": "rows"}, MISSION)
    assert derived["shared_memory"] - by_rows["shared_memory"] == (48 - 6) * (128 + 16) * 4


@pytest.mark.parametrize(
    ("vectors", "cores", "at_least"), [(AVX512, 2, 5000), (AVX512, 192, 5000), (AVX2, 7, 5000), (NEON, 4, 5000)]
)
def test_the_cpu_space_has_many_valid_configurations_on_any_machine(
    vectors: dict[str, int], cores: int, at_least: int
) -> None:
    device = {**vectors, "cores": cores, "l1_bytes": 32 << 10, "l2_bytes": 256 << 10, "l3_bytes": 8 << 20}
    space = load_space(space_file("attention_fwd", "cpu"))
    valid = space.enumerate(device, lambda configuration: KERNEL.variant("cpu").derived(configuration, MISSION))
    assert len(valid) >= at_least
    assert all(valid.configuration(i)["threads"] <= cores for i in range(0, len(valid), 101))  # type: ignore[operator]  # an int
