"""The choice of a compiler for a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evotune_workers.compilers import cpp, nvcc
from evotune_workers.compilers.build import Build, BuildRequest
from evotune_workers.kernel.targets import CPU, capability


@dataclass(frozen=True)
class Compiler:
    """A compiler: `compile` makes a build, `version` names the compiler as builds do.

    Both raise ToolchainError when it is not installed.
    """

    compile: Callable[[BuildRequest], Build]
    version: Callable[[], str]


CPP = Compiler(cpp.compile_cpp, cpp.compiler_version)
NVCC = Compiler(nvcc.compile_nvcc, nvcc.compiler_version)


def compiler_for(target: str) -> Compiler:
    """Return the C++ compiler for `cpu` and nvcc for `sm_89` and the like; raise ValueError for any other target."""
    if target == CPU:
        return CPP
    if capability(target) is not None:
        return NVCC
    raise ValueError(f"target must be cpu or a CUDA architecture such as sm_89, got {target}: correct its name")
