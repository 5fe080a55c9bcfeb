"""Run A/A tests: time a build against itself on this machine's GPU, or its CPU. There must be no winner.

    python benchmarks/aa.py [--repeats 100] [--cpu]

It prints the number of repeats in which the interval of the ratio contains 1, and the distance of the medians from 1. A
95 % interval is expected to exclude 1 in 5 of 100 repeats.
"""

from __future__ import annotations

import argparse

import numpy as np

from evotune.planning.locate import kernel_folder
from evotune.planning.target import builtin_space
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.kernel.contract import Configuration, Kernel
from evotune_workers.kernel.device import Device, cpu_device, local_devices
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.measuring.jobs import CompareJob
from evotune_workers.measuring.measurer import Measurer
from evotune_workers.measuring.timing_session import NoResult
from evotune_workers.timing.statistics import Interval

KERNEL = "attention_fwd"
SEEDS = (1, 2, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--cpu", action="store_true", help="use the CPU, even if there is a GPU")
    options = parser.parse_args()
    repeats: int = options.repeats
    folder, gpus = kernel_folder(KERNEL), () if options.cpu else local_devices()
    device = gpus[0] if gpus else cpu_device()
    variant, configuration = _beginning(load_kernel(folder), device)
    candidate = build_candidate(folder, BuildJob(0, configuration, variant, device.target, ("mission",)))
    measurer = Measurer(folder, device)
    intervals: list[Interval] = []
    while len(intervals) < repeats:
        try:
            intervals.append(measurer.run(CompareJob(candidate, candidate, variant, SEEDS)).ratio)
        except NoResult as failed:
            print(f"no result, repeated: {failed}")
    measurer.close()
    contained = sum(interval.low <= 1 <= interval.high for interval in intervals)
    off = np.abs(np.array([interval.median for interval in intervals]) - 1)
    width = np.median([interval.half_width for interval in intervals])
    print(f"{device.name}, {KERNEL} mission, {candidate.configuration}")
    print(f"interval contains 1 in {contained} of {repeats} repeats")
    print(f"median off 1 by {np.median(off):.2%} (largest {off.max():.2%}); half-width {width:.2%}")


def _beginning(kernel: Kernel, device: Device) -> tuple[str, Configuration]:
    """Return the variant, and the configuration with which a search of the built-in space begins."""
    space = builtin_space(kernel, device.target)
    variant, mission = kernel.variant(space.variant), named_workload(kernel, "mission")
    valid = space.enumerate(device.limits, lambda configuration: variant.derived(configuration, mission))
    return variant.name, valid.configuration(valid.default or 0)


if __name__ == "__main__":
    main()
