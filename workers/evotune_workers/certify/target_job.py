"""What the target_job program is told; apart from it, so that telling needs no CUDA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evotune_workers.kernel.contract import Configuration


@dataclass(frozen=True)
class TargetJob:
    """What to launch: the build's cubin at a workload, so often on the inputs of each seed in turn.

    `tails`: also once at each of the workload's tails.
    """

    kernel_folder: Path
    variant: str
    configuration: Configuration
    workload: str
    cubin: Path
    seeds: tuple[int, ...]
    launches: int
    tails: bool
