"""CUDA builds with the real nvcc: resources, equal code as equal binaries, where nvcc comes from."""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from evotune_workers.compilers import cuda_toolkit, nvcc
from evotune_workers.compilers.build import Build, BuildRequest, Resources
from evotune_workers.compilers.cpp import compile_cpp
from evotune_workers.compilers.cuda_toolkit import find_nvcc
from evotune_workers.compilers.nvcc import compile_nvcc
from evotune_workers.compilers.select import compiler_for
from tests.support.cubin import most_threads
from tests.support.nvcc_needed import nvcc_or_skip
from tests.support.one_kernel import PLAIN, request_for

pytestmark = pytest.mark.usefixtures("empty_cache")

SPILLING = """
extern "C" __global__ __launch_bounds__(1024) void entry(float* x, int n) {
    float v[96];
#pragma unroll
    for (int i = 0; i < 96; ++i) v[i] = x[threadIdx.x + i * 1024];
    for (int k = 0; k < n; ++k)
#pragma unroll
        for (int i = 0; i < 96; ++i) v[i] = v[i] * v[(i + 1) % 96] + x[k];
#pragma unroll
    for (int i = 0; i < 96; ++i) x[threadIdx.x + i * 1024] = v[i];
}
"""
INDEXING = """
extern "C" __global__ void entry(float* x, const int* index) {
    float v[300];
    for (int i = 0; i < 300; ++i) v[i] = x[i];
    v[index[0]] = 3;
    x[threadIdx.x] = v[index[1]];
}
"""
SHARING = """
extern "C" __global__ __launch_bounds__(256) void entry(float* x) {
    __shared__ float v[256];
    v[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = v[255 - threadIdx.x];
}
"""
# The function spills, is not inlined, and is called by the other kernel too, which has shared memory.
CALLING = f"""
{SPILLING.replace('extern "C" __global__ __launch_bounds__(1024) void entry', "__device__ __noinline__ void helper")}
extern "C" __global__ __launch_bounds__(1024) void entry(float* x, int n) {{ helper(x, n); }}
extern "C" __global__ __launch_bounds__(1024) void other(float* x, int n) {{
    __shared__ float v[1024];
    v[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    helper(x, int(v[n]));
}}
"""
# A record, internal linkage and the name of the file; UNUSED changes no code, FACTOR does.
RECORDING = """
#define TEXT_(value) #value
#define TEXT(value) TEXT_(value)
extern "C" __device__ const char evotune_configuration[1024] =
    "evotune-configuration:FACTOR=" TEXT(FACTOR) ";UNUSED=" TEXT(UNUSED) ";";
static __device__ int calls;
static __device__ float scaled(float x) { return x * FACTOR; }
extern "C" __global__ void entry(float* x) {
    x[threadIdx.x] = scaled(x[threadIdx.x]) + __FILE__[threadIdx.x];
    calls += UNUSED * 0 + 1;
}
"""


@pytest.fixture(autouse=True, scope="module")
def needs_nvcc() -> None:
    nvcc_or_skip()


def resources(build: Build) -> Resources:
    assert build.failure is None and build.resources is not None, build.failure
    return build.resources


def fresh(request: BuildRequest, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setenv("EVOTUNE_CACHE", str(cache))
    return compile_nvcc(request)


@pytest.mark.parametrize("target", ["sm_80", "sm_89", "sm_90", "sm_90a"])
def test_a_plain_kernel_uses_registers_and_nothing_else(target: str, tmp_path: Path) -> None:
    build = compile_nvcc(request_for(tmp_path, PLAIN, target=target))
    found = resources(build)
    assert found.registers is not None and 0 < found.registers < 32
    assert found == Resources(found.registers, 0, 0, 0, 0)
    assert build.binary is not None and build.binary.startswith(b"\x7fELF")
    assert build.target == target and f"-arch={target}" in build.flags
    assert build.compiler == nvcc.compiler_version() and build.compiler.startswith("nvcc ")


def test_spills_are_reported(tmp_path: Path) -> None:
    build = compile_nvcc(request_for(tmp_path, SPILLING))
    found = resources(build)
    assert build.binary is not None and most_threads(build.binary, "entry") == 1024
    assert found.registers is not None and found.registers <= 64
    assert found.spill_stores and found.spill_loads and found.stack_bytes
    assert found.shared_bytes == 0


def test_an_array_on_the_stack_is_reported_and_is_no_spill(tmp_path: Path) -> None:
    found = resources(compile_nvcc(request_for(tmp_path, INDEXING)))
    assert (found.spill_stores, found.spill_loads, found.stack_bytes) == (0, 0, 1200)


def test_static_shared_memory_is_reported(tmp_path: Path) -> None:
    assert resources(compile_nvcc(request_for(tmp_path, SHARING))).shared_bytes == 1024


def test_spills_of_a_function_that_was_not_inlined_count_for_its_caller(tmp_path: Path) -> None:
    found = resources(compile_nvcc(request_for(tmp_path, CALLING)))
    assert found.spill_stores and found.spill_loads
    assert found.shared_bytes == 0, "of the other kernel in the same file"


def test_two_builds_of_one_configuration_are_the_same_bytes_wherever_the_sources_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = (
        request_for(tmp_path, RECORDING, folder, FACTOR=3, UNUSED=1) for folder in ("here", "deep/elsewhere")
    )
    builds = [fresh(request, tmp_path / name, monkeypatch) for request, name in ((here, "a"), (elsewhere, "b"))]
    assert builds[0].failure is None and builds[0].binary == builds[1].binary
    assert builds[0].key == builds[1].key and builds[0].seconds != builds[1].seconds


def test_equal_code_has_an_equal_hash_whatever_its_record_says(tmp_path: Path) -> None:
    first, second, other = (
        compile_nvcc(request_for(tmp_path, RECORDING, FACTOR=factor, UNUSED=unused))
        for factor, unused in ((3, 1), (3, "12345"), (4, 1))
    )
    assert first.failure is None and first.binary != second.binary
    assert first.binary_hash == second.binary_hash != other.binary_hash
    assert len({first.key, second.key, other.key}) == 3


def test_a_build_is_made_once(tmp_path: Path) -> None:
    first = compile_nvcc(request_for(tmp_path, PLAIN))
    assert compile_nvcc(request_for(tmp_path, PLAIN)) == first


def test_options_in_the_environment_make_another_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = compile_nvcc(request_for(tmp_path, SHARING))
    monkeypatch.setenv("NVCC_APPEND_FLAGS", "-maxrregcount=16")
    limited = compile_nvcc(request_for(tmp_path, SHARING))
    assert plain.key != limited.key
    assert limited.compiler == f"{plain.compiler} NVCC_APPEND_FLAGS=-maxrregcount=16"


def test_the_nvcc_of_the_extra_compiles_where_no_toolkit_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        metadata.version(cuda_toolkit.PACKAGE)
    except metadata.PackageNotFoundError:
        assert os.environ.get("CI") != "true", "CI must have the extra: pip install --group dev"
        pytest.skip("needs the packages of the extra: pip install 'evotune[cuda]'")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("gcc", "g++"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    for variable in cuda_toolkit.FOLDER_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(cuda_toolkit, "USUAL_FOLDER", tmp_path / "nowhere")
    assert find_nvcc().found == "the package nvidia-cuda-nvcc"
    headers = (
        "#include <cuda_bf16.h>\n#include <cuda_fp16.h>\n#include <cooperative_groups.h>\n#include <cuda/barrier>\n"
    )
    assert resources(compile_nvcc(request_for(tmp_path, headers + PLAIN))).registers


def test_each_target_has_its_compiler() -> None:
    assert compiler_for("cpu").compile is compile_cpp
    for target in ("sm_80", "sm_89", "sm_90a", "sm_120"):
        assert compiler_for(target).compile is compile_nvcc
    for target in ("sm80", "sm_", "gpu", "sm_89 -G", ""):
        with pytest.raises(ValueError, match="target must be cpu or a CUDA architecture"):
            compiler_for(target)
