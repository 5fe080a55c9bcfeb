"""Which compiler builds for a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evotune_workers.compilers import cpp, nvcc
from evotune_workers.compilers.build import Build, BuildRequest
from evotune_workers.kernel.targets import CPU, capability


@dataclass(frozen=True)
class Compiler:
    """`compile` makes a build; `version` names the compiler as its builds do. Both raise ToolchainError without one."""

    compile: Callable[[BuildRequest], Build]
    version: Callable[[], str]


CPP = Compiler(cpp.compile_cpp, cpp.compiler_version)
NVCC = Compiler(nvcc.compile_nvcc, nvcc.compiler_version)


def compiler_for(target: str) -> Compiler:
    """The C++ compiler for `cpu`, nvcc for `sm_89` and the like; ValueError for what is neither."""
    if target == CPU:
        return CPP
    if capability(target) is not None:
        return NVCC
    raise ValueError(f"target must be cpu or a CUDA architecture such as sm_89, got {target}: correct its name")
