"""CUDA builds that fail: the source's fault is told in one line, the machine's is no fault of a configuration."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import psutil
import pytest

from evotune_workers.compilers import nvcc
from evotune_workers.compilers.build import ToolchainError
from evotune_workers.compilers.cuda_toolkit import find_nvcc
from evotune_workers.compilers.nvcc import compile_nvcc
from tests.support.nvcc_needed import nvcc_or_skip
from tests.support.one_kernel import PLAIN, request_for

pytestmark = pytest.mark.usefixtures("empty_cache")

# 32 functions of 1000 steps, all inlined: minutes of work.
SLOW = """
template <int n> __device__ __forceinline__ float chain(float x) {
#pragma unroll
    for (int i = 0; i < 1000; ++i) x = x * x + sinf(x) / (x + n);
    return x;
}
extern "C" __global__ void entry(float* x) {
    float sum = 0;
#define FOUR(n) sum += chain<n>(x[n]) + chain<n + 1>(x[n + 1]) + chain<n + 2>(x[n + 2]) + chain<n + 3>(x[n + 3]);
    FOUR(0) FOUR(4) FOUR(8) FOUR(12) FOUR(16) FOUR(20) FOUR(24) FOUR(28)
    x[0] = sum;
}
"""


@pytest.fixture(autouse=True, scope="module")
def needs_nvcc() -> None:
    nvcc_or_skip()


def test_the_line_of_a_source_that_does_not_compile_is_the_failure(tmp_path: Path) -> None:
    request = request_for(tmp_path, '#include "part.cuh"\n')
    (request.folder / "part.cuh").write_text('\nstatic_assert(WIDTH == 4, "WIDTH must be 4");\n')
    build = compile_nvcc(dataclasses.replace(request, macros={"WIDTH": 5}))
    assert build.failure == 'part.cuh(2): error: static assertion failed with "WIDTH must be 4"'
    assert str(request.folder) not in build.log
    assert (build.binary, build.binary_hash, build.resources) == (None, None, None)


def test_what_the_preprocessor_and_the_assembler_refuse_is_a_failure_too(tmp_path: Path) -> None:
    missing = compile_nvcc(request_for(tmp_path, '#include "missing.cuh"\n'))
    assert missing.failure == "kernel.cu:1:10: fatal error: missing.cuh: No such file or directory"
    wrong = compile_nvcc(request_for(tmp_path, PLAIN.replace("x[threadIdx.x] *= 2;", 'asm("nonsense;");')))
    assert wrong.failure is not None and "error" in wrong.failure and "nonsense" in wrong.failure
    assert "/" not in wrong.failure.split(";")[0].removeprefix("ptxas ")


def test_a_source_without_the_entry_function_is_a_failure(tmp_path: Path) -> None:
    build = compile_nvcc(request_for(tmp_path, PLAIN.replace("entry", "other")))
    assert build.failure is not None and build.failure.endswith("entry function entry once, its report has other")
    assert build.binary is None


def test_a_build_that_overruns_is_killed_with_all_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvcc, "TIME_LIMIT_SECONDS", 2.0)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    started = time.monotonic()
    build = compile_nvcc(request_for(tmp_path, SLOW))
    assert time.monotonic() - started < 10
    assert build.failure == "a build must end within 2 s, killed"
    assert not list((tmp_path / "temporary").iterdir())
    assert not [name for name in map(_command, psutil.process_iter()) if str(tmp_path) in name]


def test_an_architecture_that_nvcc_does_not_know_is_no_failure_of_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"must compile an empty kernel for sm_10, got .*Unsupported gpu arch"):
        compile_nvcc(request_for(tmp_path, PLAIN, target="sm_10"))


def test_a_machine_without_a_host_compiler_is_no_failure_of_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "nvcc").symlink_to(find_nvcc().nvcc)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(ToolchainError, match=r"must compile an empty kernel for sm_89, .*: install g"):
        compile_nvcc(request_for(tmp_path, PLAIN))


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
