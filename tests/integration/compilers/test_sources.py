"""A build depends on every file that its compiler opens: none of them can change without a new build."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import pytest

from evotune_workers.compilers.build import Build, BuildRequest
from evotune_workers.compilers.cpp import compile_cpp
from evotune_workers.compilers.nvcc import compile_nvcc
from tests.support.nvcc_needed import nvcc_or_skip


@dataclass(frozen=True)
class Program:
    """A source that names none of its headers."""

    sources: tuple[str, ...] = ("kernel.cpp",)
    entry: str = "answer"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a kernel's folder with a header in a header, and an empty cache."""
    monkeypatch.setenv("EVOTUNE_CACHE", str(tmp_path / "cache"))
    kernel = tmp_path / "kernel"
    (kernel / "inner").mkdir(parents=True)
    (kernel / "kernel.cpp").write_text('#include "outer.h"\nextern "C" int answer() { return value; }\n')
    (kernel / "outer.h").write_text('#include "inner/value.h"\n')
    (kernel / "inner" / "value.h").write_text("constexpr int value = 1;\n")
    return kernel


def build(folder: Path) -> Build:
    return compile_cpp(BuildRequest(folder, Program(), "cpu", {}))


def answer(made: Build, folder: Path) -> int:
    assert made.binary is not None, made.failure
    library = folder.parent / f"{made.binary_hash}.so"
    library.write_bytes(made.binary)
    return int(ctypes.CDLL(str(library)).answer())


def test_a_header_that_no_variant_names_is_part_of_the_key(folder: Path) -> None:
    first = build(folder)
    assert build(folder) == first
    (folder / "inner" / "value.h").write_text("constexpr int value = 2;\n")
    second = build(folder)
    assert (answer(first, folder), answer(second, folder)) == (1, 2)
    assert first.key != second.key


@pytest.mark.parametrize("name", ["notes.md", "kernel.py", "space.yaml", "unused.h"])
def test_a_file_that_is_not_opened_changes_no_key(folder: Path, name: str) -> None:
    first = build(folder)
    (folder / name).write_text("anything")
    assert build(folder) == first


def test_a_header_that_a_macro_names_is_part_of_the_key(folder: Path) -> None:
    (folder / "outer.h").write_text('#define HEADER "inner/value.h"\n#include HEADER\n')
    first = build(folder)
    (folder / "inner" / "value.h").write_text("constexpr int value = 3;\n")
    assert (answer(first, folder), answer(build(folder), folder)) == (1, 3)


def test_a_file_that_is_opened_and_not_in_the_key_is_a_failure_that_says_so(folder: Path) -> None:
    (folder / "outer.h").write_text('%:include "inner/value.h"\n')
    assert build(folder).failure == (
        "every file that a build opens must be known before, got inner/value.h: name it in the variant's sources"
    )


def test_a_build_with_a_header_from_the_environment_is_not_stored(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "outer.h").write_text("#include <value.h>\n")
    monkeypatch.setenv("CPATH", str(tmp_path / "elsewhere"))
    for value in (1, 2):
        (tmp_path / "elsewhere" / "value.h").write_text(f"constexpr int value = {value};\n")
        assert answer(build(folder), folder) == value


def test_nvcc_opens_what_the_key_covers(folder: Path) -> None:
    nvcc_or_skip()
    request = cuda_request(folder)
    first = compile_nvcc(request)
    assert first.failure is None and compile_nvcc(request) == first
    (folder / "inner" / "value.h").write_text("constexpr int value = 2;\n")
    second = compile_nvcc(request)
    assert first.key != second.key and first.binary_hash != second.binary_hash


def test_nvcc_tells_what_it_opens_wherever_temporary_files_lie(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvcc_or_skip()
    (folder / "outer.h").write_text('%:include "inner/value.h"\n')
    (tmp_path / "a, b (c)").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a, b (c)"))
    failure = compile_nvcc(cuda_request(folder)).failure
    assert failure is not None and "must be known before, got inner/value.h" in failure


def cuda_request(folder: Path) -> BuildRequest:
    (folder / "kernel.cpp").rename(folder / "kernel.cu")
    (folder / "kernel.cu").write_text(
        '#include "outer.h"\nextern "C" __global__ void answer(int* out) { *out = value; }\n'
    )
    return BuildRequest(folder, Program(("kernel.cu",)), "sm_89", {})
