"""The request to load one build, free of torch: the process that sends it does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evotune_workers.kernel.contract import Configuration


@dataclass(frozen=True)
class BuildSpec:
    """A build to load, with the workload, variant and seeds of its inputs; `library` is its file."""

    configuration: Configuration
    workload: str
    variant: str
    library: Path
    seeds: tuple[int, ...]
