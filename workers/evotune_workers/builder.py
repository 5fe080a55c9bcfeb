"""Compiling one configuration for every workload of a search: the body of a build task, free of Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .compilers.build import Build, BuildRequest
from .compilers.select import compiler_for
from .jobs import Candidate, StageBuild, WorkloadBuild
from .kernel import Configuration, Value
from .kernel_folder import load_kernel, named_workload

# With a stage's name, a build stops there.
STAGE_MACRO = "EVOTUNE_STAGE"


@dataclass(frozen=True)
class BuildJob:
    """One configuration to compile for one target and a search's workloads."""

    number: int
    configuration: Configuration
    variant: str
    target: str
    workloads: tuple[str, ...]


@dataclass(frozen=True)
class StageBuildJob:
    """One build to be made again for every stage before its output: that with these macros, for that workload."""

    variant: str
    target: str
    workload: str
    macros: Mapping[str, Value]


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


def build_stages(kernel_folder: Path, job: StageBuildJob) -> tuple[StageBuild, ...]:
    """A build for each stage of the variant; raises ToolchainError without a compiler."""
    variant, compiler = load_kernel(kernel_folder).variant(job.variant), compiler_for(job.target)
    builds = []
    for stage in variant.stages:
        macros = {**job.macros, STAGE_MACRO: stage.name}
        build = compiler.compile(BuildRequest(kernel_folder, variant, job.target, macros))
        builds.append(StageBuild(stage.name, WorkloadBuild(job.workload, macros, build)))
    return tuple(builds)
