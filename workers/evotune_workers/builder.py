"""Compiling one configuration for every workload of a search: the body of a build task, free of Ray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .compilers.build import Build, BuildRequest
from .compilers.select import compiler_for
from .jobs import Candidate, WorkloadBuild
from .kernel import Configuration, Value
from .kernel_folder import load_kernel, named_workload


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
    variant, compiler = kernel.variant(job.variant), compiler_for(job.target)
    made: dict[tuple[tuple[str, Value], ...], Build] = {}
    builds = []
    for name in job.workloads:
        macros = dict(kernel.macros(variant, job.configuration, named_workload(kernel, name)))
        key = tuple(sorted(macros.items()))
        if key not in made:
            made[key] = compiler.compile(BuildRequest(kernel_folder, variant, job.target, macros))
        builds.append(WorkloadBuild(name, macros, made[key]))
    return Candidate(job.number, job.configuration, tuple(builds))
