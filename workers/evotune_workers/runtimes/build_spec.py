"""The request to load one build, free of torch: the process that sends it does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evotune_workers.kernel.contract import Configuration


@dataclass(frozen=True)
class BenchSpec:
    """A build and what it is run on: `library` is its file, `seeds` those of the inputs."""

    configuration: Configuration
    workload: str
    variant: str
    library: Path
    seeds: tuple[int, ...]
