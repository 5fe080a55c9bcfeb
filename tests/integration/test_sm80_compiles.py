"""The CUDA source compiles with the real nvcc for every architecture that it is for, without spills."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from evotune.locate import kernel_folder, space_file
from evotune.space import load_space
from evotune_workers.compilers.build import macro_flags

SOURCE = kernel_folder("attention_fwd") / "sm80" / "sm80.cu"
USED = re.compile(r"Used (\d+) registers")
SPILLED = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")

needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc on PATH")


@needs_nvcc
@pytest.mark.parametrize("architecture", ["sm_80", "sm_89", "sm_90"])
@pytest.mark.parametrize("element", ["float16", "bfloat16"])
def test_the_default_of_the_l4_space_builds_without_spills(architecture: str, element: str, tmp_path: Path) -> None:
    report = compile_default("l4", architecture, element, tmp_path)
    assert [int(stores) + int(loads) for stores, loads in SPILLED.findall(report)] == [0], report
    assert 0 < int(USED.findall(report)[0]) <= 255


@needs_nvcc
def test_the_default_of_the_h200_space_builds_without_spills(tmp_path: Path) -> None:
    report = compile_default("h200", "sm_90", "float16", tmp_path)
    assert [int(stores) + int(loads) for stores, loads in SPILLED.findall(report)] == [0], report


def compile_default(space: str, architecture: str, element: str, folder: Path) -> str:
    default = load_space(space_file("attention_fwd", space)).default
    assert default is not None
    macros = {name.upper(): value for name, value in default.items()}
    flags = macro_flags({**macros, "HEAD_DIM": 64, "ELEMENT": element})
    command = ["nvcc", "-cubin", f"-arch={architecture}", "-std=c++17", "-O3", "-Xptxas", "-v", *flags]
    ran = subprocess.run(
        [*command, str(SOURCE), "-o", str(folder / "out.cubin")], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stderr
