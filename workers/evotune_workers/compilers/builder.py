"""Compiling one configuration for every workload of a search: the body of a build task, without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evotune_workers.compilers.build import Build, BuildRequest
from evotune_workers.compilers.candidate import Candidate, StageBuild, WorkloadBuild
from evotune_workers.compilers.select import compiler_for
from evotune_workers.kernel.contract import Configuration, Kernel, Value
from evotune_workers.kernel.folder import load_kernel, named_workload

# Its value is a stage's name: the build writes the stage's values in place of its output.
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
    """A build to repeat for every stage before its output; `macros` are those of the build, without the stage."""

    variant: str
    target: str
    workload: str
    macros: Mapping[str, Value]


@dataclass(frozen=True)
class Recipe:
    """A BuildJob with all that the kernel's Python says of it: sources, entry function, macros by workload.

    To ask the kernel itself, a node would have to import torch, which takes seconds on a busy node.
    """

    number: int
    configuration: Configuration
    target: str
    sources: tuple[str, ...]
    entry: str
    macros: Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True)
class StageRecipe:
    """A StageBuildJob with all that the kernel's Python says of it, the names of the stages among it."""

    target: str
    sources: tuple[str, ...]
    entry: str
    workload: str
    macros: Mapping[str, Value]
    stages: tuple[str, ...]


def recipe_of(kernel: Kernel, job: BuildJob) -> Recipe:
    """Return the job with its sources, entry function and macros."""
    variant = kernel.variant(job.variant)
    macros = {
        name: dict(kernel.macros(variant, job.configuration, named_workload(kernel, name))) for name in job.workloads
    }
    return Recipe(job.number, job.configuration, job.target, variant.sources, variant.entry, macros)


def stage_recipe_of(kernel: Kernel, job: StageBuildJob) -> StageRecipe:
    """Return the job with its sources, entry function and stages."""
    variant = kernel.variant(job.variant)
    stages = tuple(stage.name for stage in variant.stages)
    return StageRecipe(job.target, variant.sources, variant.entry, job.workload, job.macros, stages)


def make(kernel_folder: Path, recipe: Recipe) -> Candidate:
    """Compile a build for each workload; workloads with equal macros share one.

    Raises ToolchainError without a compiler.
    """
    made: dict[tuple[tuple[str, Value], ...], Build] = {}
    builds = []
    for workload, macros in recipe.macros.items():
        key = tuple(sorted(macros.items()))
        if key not in made:
            made[key] = _compiled(kernel_folder, recipe, macros)
        builds.append(WorkloadBuild(workload, macros, made[key]))
    return Candidate(recipe.number, recipe.configuration, tuple(builds))


def make_stages(kernel_folder: Path, recipe: StageRecipe) -> tuple[StageBuild, ...]:
    """Compile a build for each stage; raise ToolchainError without a compiler."""
    builds = []
    for stage in recipe.stages:
        macros = {**recipe.macros, STAGE_MACRO: stage}
        build = _compiled(kernel_folder, recipe, macros)
        builds.append(StageBuild(stage, WorkloadBuild(recipe.workload, macros, build)))
    return tuple(builds)


def build_candidate(kernel_folder: Path, job: BuildJob) -> Candidate:
    """Compile a job of the kernel in a folder; see `make`."""
    return make(kernel_folder, recipe_of(load_kernel(kernel_folder), job))


def build_stages(kernel_folder: Path, job: StageBuildJob) -> tuple[StageBuild, ...]:
    """Compile a stage job of the kernel in a folder; see `make_stages`."""
    return make_stages(kernel_folder, stage_recipe_of(load_kernel(kernel_folder), job))


def _compiled(kernel_folder: Path, recipe: Recipe | StageRecipe, macros: Mapping[str, Value]) -> Build:
    return compiler_for(recipe.target).compile(BuildRequest(kernel_folder, recipe, recipe.target, macros))
