"""Compiling one configuration for every workload of a search: the body of a build task, free of Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .compilers.build import Build, BuildRequest
from .compilers.cpp import compile_cpp
from .jobs import Candidate, WorkloadBuild
from .kernel import Configuration, Kernel, Value
from .kernel_folder import load_kernel, named_workload

COMPILERS: Mapping[str, Callable[[BuildRequest], Build]] = {"cpu": compile_cpp}


@dataclass(frozen=True)
class BuildJob:
    """One configuration to compile for one target and a search's workloads."""

    number: int
    configuration: Configuration
    variant: str
    target: str
    workloads: tuple[str, ...]


def build_candidate(kernel_folder: Path, job: BuildJob) -> Candidate:
    """A build for each workload; workloads with the same macros share one. Raises ToolchainError without a compiler."""
    kernel = load_kernel(kernel_folder)
    made: dict[tuple[tuple[str, Value], ...], Build] = {}
    builds = []
    for name in job.workloads:
        macros = _macros(kernel, job, name)
        key = tuple(sorted(macros.items()))
        if key not in made:
            request = BuildRequest(kernel_folder, kernel.variant(job.variant), job.target, macros)
            made[key] = COMPILERS[job.target](request)
        builds.append(WorkloadBuild(name, macros, made[key]))
    return Candidate(job.number, job.configuration, tuple(builds))


def _macros(kernel: Kernel, job: BuildJob, workload: str) -> dict[str, Value]:
    return dict(kernel.macros(job.configuration, named_workload(kernel, workload)))
