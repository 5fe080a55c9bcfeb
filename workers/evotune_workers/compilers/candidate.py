"""A configuration with its builds: the product of a build task, which every later stage takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evotune_workers.compilers.build import Build
from evotune_workers.kernel.contract import Configuration, Value


@dataclass(frozen=True)
class WorkloadBuild:
    """The build of a configuration that serves one workload; `macros` are those that were requested."""

    workload: str
    macros: Mapping[str, Value]
    build: Build


@dataclass(frozen=True)
class Candidate:
    """A configuration with a build for each of the search's workloads."""

    number: int
    configuration: Configuration
    builds: tuple[WorkloadBuild, ...]


@dataclass(frozen=True)
class StageBuild:
    """A build that writes the values of a stage of the kernel in place of its output."""

    stage: str
    built: WorkloadBuild
