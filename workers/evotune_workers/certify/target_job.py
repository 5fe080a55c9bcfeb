"""The job of the target program, in a file of its own, so that the certifier needs no CUDA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evotune_workers.kernel.contract import Configuration


@dataclass(frozen=True)
class TargetJob:
    """The launches to make: `launches` of the build's cubin at a workload, on the inputs of each seed in turn.

    With `tails`, also one at each of the workload's tails.
    """

    kernel_folder: Path
    variant: str
    configuration: Configuration
    workload: str
    cubin: Path
    seeds: tuple[int, ...]
    launches: int
    tails: bool
