"""A/A: two builds of the same configuration, timed against each other. The timing must not produce a winner.

    python benchmarks/aa_cpu.py [--repeats 100]

Prints in how many repeats the interval of the ratio contains 1, and how far from 1 the medians were.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from evotune.locate import kernel_folder, space_file
from evotune.space import load_space
from evotune_workers.builder import BuildJob, build_candidate
from evotune_workers.device import Device, cpu_device
from evotune_workers.kernel import Configuration
from evotune_workers.kernel_folder import load_kernel
from evotune_workers.measurer import Measurer
from evotune_workers.statistics import Interval
from evotune_workers.timekeeper import NoResult

KERNEL = "attention_fwd"
SEEDS = (1, 2, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=100)
    repeats: int = parser.parse_args().repeats
    folder, device = kernel_folder(KERNEL), cpu_device()
    candidate = build_candidate(folder, BuildJob(0, _configuration(folder, device), "cpu", "cpu", ("mission",)))
    measurer = Measurer(folder, device)
    intervals: list[Interval] = []
    while len(intervals) < repeats:
        try:
            intervals.append(measurer.compare(candidate, candidate, "cpu", SEEDS).ratio)
        except NoResult as failed:
            print(f"no result, repeated: {failed}")
    measurer.close()
    contained = sum(interval.low <= 1 <= interval.high for interval in intervals)
    off = np.abs(np.array([interval.median for interval in intervals]) - 1)
    width = np.median([interval.half_width for interval in intervals])
    print(f"{device.name}, {device.limits['cores']} cores, {KERNEL} mission, {candidate.configuration}")
    print(f"interval contains 1 in {contained} of {repeats} repeats")
    print(f"median off 1 by {np.median(off):.2%} (largest {off.max():.2%}); half-width {width:.2%}")


def _configuration(folder: Path, device: Device) -> Configuration:
    """The valid configuration closest to the middle of every parameter's values."""
    kernel = load_kernel(folder)
    space = load_space(space_file(KERNEL, "cpu"))
    valid = space.enumerate(
        device.limits, lambda configuration: kernel.variant("cpu").derived(configuration, kernel.workloads[0])
    )
    return valid.configuration(len(valid) // 2)


if __name__ == "__main__":
    main()
