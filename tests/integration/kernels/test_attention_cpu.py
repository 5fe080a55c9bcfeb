"""The attention kernel's C++, built with the real compiler and checked against float64."""

from __future__ import annotations

import ctypes
import platform
import random
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evotune.planning.locate import kernel_folder, space_file
from evotune.space.space_file import load_space
from evotune_workers.compilers.build import BuildRequest, macro_flags, macro_text
from evotune_workers.compilers.cpp import FLAGS, compile_cpp, compiler_command
from evotune_workers.gates.error_limits import judge_errors
from evotune_workers.gates.gate import GateCriteria, Observation
from evotune_workers.kernel import Configuration, Inputs, Value, Workload
from evotune_workers.kernel.device import cpu_device
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.runtimes.cpu import CpuProgram, CpuRuntime
from evotune_workers.runtimes.guarded import GuardedTensor
from evotune_workers.runtimes.openmp import share_torch_runtime
from evotune_workers.runtimes.references import References

FOLDER = kernel_folder("attention_fwd")
KERNEL = load_kernel(FOLDER)
MISSION, CAUSAL, WIDE, FP32 = (named_workload(KERNEL, name) for name in ("mission", "causal", "wide", "mission_fp32"))
REFERENCES = References(KERNEL, "cpu", CpuRuntime())
# The place of the scale among the arguments.
SCALE = 8
SHARED_OPENMP = share_torch_runtime()
# Valid with vectors of every size.
PLAIN: Configuration = {
    "tile_m": 48,
    "tile_n": 128,
    "block_rows": 2,
    "block_cols": 32,
    "output_cols": 32,
    "threads": 2,
    "key_packing": "head",
    "value_packing": "head",
    "loop_order": "panels",
    "prefetch_distance": 0,
    "persistent": False,
    "unroll": 2,
    "exp_unroll": 1,
    "fused_max": True,
}
PACKINGS: tuple[Mapping[str, Value], ...] = (
    {"key_packing": "tile", "value_packing": "direct", "loop_order": "rows", "persistent": True},
    {"key_packing": "tile", "value_packing": "tile", "fused_max": False, "prefetch_distance": 8},
    {"key_packing": "head", "value_packing": "head", "tile_m": 24, "tile_n": 64, "block_rows": 4},
    {"key_packing": "shared", "value_packing": "shared", "loop_order": "rows", "threads": 3, "unroll": 4},
    {"key_packing": "shared", "value_packing": "direct", "persistent": True, "tile_n": 512, "output_cols": 16},
)


@pytest.fixture(autouse=True, scope="module")
def one_torch_thread() -> Iterator[None]:
    """Thousands of small operators: on a busy machine each would wait for its second thread to be scheduled."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Program:
    """A loaded build of one configuration."""

    def __init__(self, configuration: Configuration, path: Path) -> None:
        self.configuration = configuration
        self.program = CpuProgram(path, "attention_fwd")
        self.library = ctypes.CDLL(str(path))
        self.library.attention_fwd_workspace_bytes.restype = ctypes.c_int64

    def run(
        self, workload: Workload, inputs: Inputs, *, at_end: bool = True, scale: float | None = None
    ) -> torch.Tensor:
        """One launch with every buffer between inaccessible pages; `scale` is the workload's own unless given."""
        output = KERNEL.empty_output(workload).fill_(float("nan"))
        workspace = torch.full(
            (KERNEL.variant("cpu").workspace_bytes(self.configuration, workload),), 0xFF, dtype=torch.uint8
        )
        guarded = [GuardedTensor(tensor, at_end=at_end) for tensor in (*inputs, output, workspace)]
        q, k, v, out, scratch = (buffer.tensor for buffer in guarded)
        arguments = list(KERNEL.arguments(workload, (q, k, v), out, scratch))
        if scale is not None:
            arguments[SCALE] = np.float32(scale)
        self.program.launch(arguments)
        assert sum(buffer.slack_changed() for buffer in guarded) == 0
        return out.clone()

    def reason(self, workload: Workload, distribution: str, *, at_end: bool = True) -> str | None:
        """Why the numerics gate would refuse one launch, if it would."""
        reference = REFERENCES.reference(workload, distribution, 1)
        errors = reference.errors_of(self.run(workload, reference.inputs, at_end=at_end))
        criteria = GateCriteria({}, KERNEL.numerics.max_factor, KERNEL.numerics.rms_factor, 0.0, 0.0)
        return judge_errors("numerics", Observation({}, workload.name, distribution, 1, errors), criteria).reason


def request(configuration: Configuration, workload: Workload = MISSION) -> BuildRequest:
    return BuildRequest(
        FOLDER, KERNEL.variant("cpu"), "cpu", KERNEL.macros(KERNEL.variant("cpu"), configuration, workload)
    )


def build(folder: Path, configuration: Configuration, workload: Workload = MISSION) -> Program:
    built = compile_cpp(request(configuration, workload))
    assert built.binary is not None, built.log
    path = folder / f"{built.binary_hash}-{built.key[:8]}.so"
    path.write_bytes(built.binary)
    return Program(configuration, path)


def assert_tails_are_right(program: Program, workload: Workload) -> None:
    for tail in KERNEL.tails(workload, program.configuration):
        for at_end in (True, False):
            assert program.reason(tail, "normal", at_end=at_end) is None, tail


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_every_way_to_pack_is_right_on_tails_between_inaccessible_pages(
    tmp_path: Path, packing: Mapping[str, Value]
) -> None:
    program = build(tmp_path, {**PLAIN, **packing})
    assert_tails_are_right(program, MISSION)
    assert program.reason(CAUSAL, "rising") is None


@pytest.mark.parametrize("workload", [MISSION, CAUSAL, WIDE, FP32], ids=lambda workload: workload.name)
def test_errors_stay_within_the_limits_on_every_distribution(tmp_path: Path, workload: Workload) -> None:
    program = build(tmp_path, PLAIN, workload)
    for distribution in KERNEL.distributions:
        assert program.reason(workload, distribution) is None, distribution
    assert_tails_are_right(program, workload)


@pytest.mark.parametrize("workload", [MISSION, CAUSAL, FP32], ids=lambda workload: workload.name)
def test_structure_cases_hold(tmp_path: Path, workload: Workload) -> None:
    program = build(tmp_path, PLAIN, workload)
    for case in KERNEL.structure(workload):
        difference = (program.run(workload, case.inputs).double() - case.expected).abs().max().item()
        assert difference <= case.tolerance, case.name


def test_bits_do_not_depend_on_threads_or_schedule(tmp_path: Path) -> None:
    inputs = KERNEL.inputs(CAUSAL, "normal", 1)
    first = build(tmp_path, PLAIN).run(CAUSAL, inputs)
    for changes in ({"threads": 1}, {"threads": 5, "persistent": True}, {"persistent": True}):
        program = build(tmp_path, {**PLAIN, **changes})
        for _ in range(5):
            assert torch.equal(program.run(CAUSAL, inputs).view(torch.int16), first.view(torch.int16)), changes


def test_logits_beyond_fp16_and_negative_scales_are_taken(tmp_path: Path) -> None:
    program = build(tmp_path, PLAIN, FP32)
    small = small_of(FP32)
    q, k, v = KERNEL.inputs(small, "normal", 1)
    for factor in (1e4, -3.0):
        exact = KERNEL.reference(small, (q * factor, k, v))
        difference = (program.run(small, (q * factor, k, v)).double() - exact).abs().max().item()
        assert difference < 1e-2 if factor > 0 else difference < 1e-5
    output = program.run(small, (q, k, v), scale=-small.scale)
    torch.testing.assert_close(output.double(), KERNEL.reference(small, (-q, k, v)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("workload", [MISSION, FP32], ids=lambda workload: workload.name)
def test_tensors_may_begin_at_any_multiple_of_16_bytes(tmp_path: Path, workload: Workload) -> None:
    program = build(tmp_path, PLAIN, workload)
    small = small_of(workload)
    inputs = KERNEL.inputs(small, "normal", 1)
    *moved, output = (at_16_bytes(tensor) for tensor in (*inputs, KERNEL.empty_output(small)))
    workspace = torch.empty(KERNEL.variant("cpu").workspace_bytes(PLAIN, small), dtype=torch.uint8)
    program.program.launch(KERNEL.arguments(small, tuple(moved), output, workspace))
    assert torch.equal(output, program.run(small, inputs))


def small_of(workload: Workload) -> Any:
    """Return a workload of the kernel's own type with sizes that no tile divides."""
    return replace(workload, name="small", heads=2, queries=37, keys=41)  # type: ignore[call-arg]  # the kernel's own type


def at_16_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy whose address is 16 bytes more than a multiple of 64."""
    count = tensor.numel() * tensor.element_size()
    memory = torch.empty(count + 128, dtype=torch.uint8)
    start = 16 + -memory.data_ptr() % 64
    return memory[start : start + count].view(tensor.dtype).view(tensor.shape).copy_(tensor)


@pytest.mark.parametrize("scale", [0.0, -0.0, 1e-45])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_at_scale_0_every_visible_key_weighs_the_same(tmp_path: Path, dtype: str, scale: float) -> None:
    small = replace(CAUSAL, name="small", dtype=dtype, heads=2, queries=150, keys=141)  # type: ignore[call-arg]  # the kernel's own type
    q, k, v = KERNEL.inputs(small, "normal", 1)
    output = build(tmp_path, PLAIN, small).run(small, (q, k, v), scale=scale)
    tolerance = 1e-3 if dtype == "float16" else 1e-6
    torch.testing.assert_close(output.double(), KERNEL.reference(small, (q * 0, k, v)), rtol=0, atol=tolerance)


def test_every_parameter_changes_the_code(tmp_path: Path) -> None:
    changes: dict[str, Value] = {
        "tile_m": 24,
        "tile_n": 64,
        "block_rows": 4,
        "block_cols": 16,
        "output_cols": 16,
        "threads": 1,
        "key_packing": "tile",
        "value_packing": "direct",
        "loop_order": "rows",
        "prefetch_distance": 8,
        "persistent": True,
        "unroll": 4,
        "fused_max": False,
    }
    hashes = {"": compile_cpp(request(PLAIN)).binary_hash}
    for name, value in changes.items():
        hashes[name] = compile_cpp(request({**PLAIN, name: value})).binary_hash
    wide: Configuration = {**PLAIN, "block_cols": 64, "tile_n": 512}
    hashes["wide"] = compile_cpp(request(wide)).binary_hash
    hashes["exp_unroll"] = compile_cpp(request({**wide, "exp_unroll": 2})).binary_hash
    assert None not in hashes.values() and len(set(hashes.values())) == len(hashes)
    assert {*changes, "exp_unroll"} == set(PLAIN)


def test_the_binary_says_what_it_was_built_with_and_how_much_workspace_it_needs(tmp_path: Path) -> None:
    for packing in PACKINGS:
        program = build(tmp_path, {**PLAIN, **packing})
        macros = KERNEL.macros(KERNEL.variant("cpu"), program.configuration, MISSION)
        assert program.program.identity() == {name: macro_text(value) for name, value in macros.items()}
        for tail in KERNEL.tails(MISSION, program.configuration):
            arguments = KERNEL.arguments(tail, (), torch.empty(0), torch.empty(0))
            sizes = [ctypes.c_int64(int(size)) for size in arguments[2:5]]
            told = program.library.attention_fwd_workspace_bytes(*sizes)
            assert told == KERNEL.variant("cpu").workspace_bytes(program.configuration, tail)


def test_a_missing_parameter_and_an_unknown_packing_do_not_compile() -> None:
    macros = {
        name: value
        for name, value in KERNEL.macros(KERNEL.variant("cpu"), PLAIN, MISSION).items()
        if name != "FUSED_MAX"
    }
    missing = compile_cpp(replace(request(PLAIN), macros=macros))
    assert missing.failure is not None and "every parameter" in missing.failure
    unknown = compile_cpp(request({**PLAIN, "key_packing": "page"}))
    assert unknown.failure is not None and "page" in unknown.failure


def test_configurations_drawn_from_the_space_compile_and_are_right(tmp_path: Path) -> None:
    space = load_space(space_file("attention_fwd", "cpu"))
    valid = space.enumerate(
        cpu_device().limits, lambda configuration: KERNEL.variant("cpu").derived(configuration, MISSION)
    )
    for number in random.Random(5).sample(range(len(valid)), 3):
        program = build(tmp_path, valid.configuration(number))
        assert program.reason(MISSION, "peaky") is None, valid.key(number)
        assert_tails_are_right(program, MISSION)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="instruction sets of x86")
@pytest.mark.parametrize("architecture", ["x86-64-v3", "x86-64"])
@pytest.mark.parametrize("workload", [CAUSAL, FP32], ids=lambda workload: workload.name)
def test_machines_with_narrower_vectors_are_served(tmp_path: Path, architecture: str, workload: Workload) -> None:
    flags = [flag if flag != "-march=native" else f"-march={architecture}" for flag in FLAGS]
    path = tmp_path / "narrow.so"
    macros = macro_flags(KERNEL.macros(KERNEL.variant("cpu"), PLAIN, workload))
    subprocess.run([*compiler_command(), *flags, *macros, str(FOLDER / "cpu.cpp"), "-o", str(path)], check=True)
    assert Program(PLAIN, path).reason(workload, "normal") is None
