"""Calibrate the limits of the numerics gate: compare the errors of correct and wrong kernels with the baseline's.

    python benchmarks/calibrate_numerics.py [--configurations 24] [--workload NAME ...] [--out FILE]

It runs on this machine's GPU, or its CPU if there is none. It draws configurations from the built-in space and runs
each on every distribution with several seeds. It divides the max and RMS error against float64 by those of the pinned
fused baseline on the same inputs, for each head; the worst head counts. Then it does the same for kernels that are
wrong on purpose (tests/adversarial).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.shared.results_file import write_results
from evotune.planning.locate import kernel_folder
from evotune.planning.target import builtin_space
from evotune_workers.child.messages import RunGate
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.gates.gate import Observation
from evotune_workers.kernel.contract import Configuration
from evotune_workers.kernel.device import Device, cpu_device, local_devices
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.measuring.child_session import GateFailed, Session

ATTENTION = kernel_folder("attention_fwd")
ADVERSARIAL = Path(__file__).parent.parent / "tests" / "adversarial" / "attention"
# Faults that the gate must distinguish from correct kernels.
FAULTS = ("weights_in_8_bits", "fp16_accumulators", "last_key_dropped")
TILES: Mapping[str, Configuration] = {"cpu": {"tile_m": 16, "tile_n": 32}, "sm80": {"tile_m": 64, "tile_n": 32}}
WORKLOADS = {
    "cpu": ("mission", "causal", "ragged", "mission_fp32"),
    "sm80": ("mission", "causal", "ragged", "wide", "mission_bf16", "4x16x512x64", "4x32x2048x64"),
}
SEEDS = (1, 2, 3)
LIMIT_SECONDS = 600.0
SEED = 5


@dataclass(frozen=True)
class Ratio:
    """Error / baseline's error in the worst head, of one configuration on one set of inputs."""

    kind: str
    workload: str
    distribution: str
    max: float
    rms: float


def main() -> None:
    """Measure, print both tables, write all ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configurations", type=int, default=24)
    parser.add_argument("--workload", nargs="*")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    devices = local_devices()
    device = devices[0] if devices else cpu_device()
    variant = load_kernel(ATTENTION).variant_for(device.target).name
    ratios = list(honest(device, variant, options.workload or WORKLOADS[variant], options.configurations))
    ratios += wrong(device, variant)
    print_table(ratios)
    if options.out is not None:
        write_results(options.out, device, {"ratios": ratios}, indent=None)


def honest(device: Device, variant: str, workloads: Sequence[str], count: int) -> Iterator[Ratio]:
    """Measure configurations drawn from the built-in space, with one row for each value of `rescale`."""
    session = Session(ATTENTION, device)
    for workload in workloads:
        drawn = draw(device, variant, workload, count)
        for candidate in build(ATTENTION, device, variant, workload, drawn):
            kind = f"rescale={candidate.configuration['rescale']}" if variant != "cpu" else "honest"
            yield from measured(session, candidate, variant, kind)
    session.close()


def wrong(device: Device, variant: str) -> Iterator[Ratio]:
    """Measure kernels that round too much, or leave out a key."""
    session = Session(ADVERSARIAL, device)
    configurations: list[Configuration] = [{"fault": fault, **TILES[variant]} for fault in FAULTS]
    for candidate in build(ADVERSARIAL, device, variant, "small", configurations):
        yield from measured(session, candidate, variant, str(candidate.configuration["fault"]))
    session.close()


def draw(device: Device, variant: str, workload: str, count: int) -> list[Configuration]:
    """Draw the same configurations in every run."""
    kernel = load_kernel(ATTENTION)
    shape, served = named_workload(kernel, workload), kernel.variant(variant)
    space = builtin_space(kernel, device.target)
    valid = space.enumerate(device.limits, lambda configuration: served.derived(configuration, shape))
    chosen = np.random.default_rng(SEED).choice(len(valid), min(count, len(valid)), replace=False)
    return [valid.configuration(int(index)) for index in chosen]


def build(
    folder: Path, device: Device, variant: str, workload: str, configurations: Sequence[Configuration]
) -> Iterator[Candidate]:
    """Build on all cores; yield the configurations that compile."""
    jobs = [BuildJob(number, each, variant, device.target, (workload,)) for number, each in enumerate(configurations)]
    with ProcessPoolExecutor() as pool:
        for candidate in pool.map(partial(build_candidate, folder), jobs):
            if candidate.builds[0].build.failure is None:
                yield candidate


def measured(session: Session, candidate: Candidate, variant: str, kind: str) -> Iterator[Ratio]:
    """Yield a ratio for every distribution and seed; none for a configuration that cannot be run."""
    try:
        with session.loaded({"candidate": (candidate, candidate.builds[0])}, variant, SEEDS):
            findings: list[Observation] = session.ask("numerics", RunGate("numerics", "candidate"), LIMIT_SECONDS)
    except GateFailed as failed:
        print(f"left out: {failed}")
        session.renew()
        return
    for finding in findings:
        assert finding.errors is not None
        largest, rms = worst(finding.errors)
        yield Ratio(kind, finding.workload or "", finding.distribution or "", largest, rms)


def worst(errors: Errors) -> tuple[float, float]:
    """Return the worst head's max and RMS error over the baseline's, or over the rounding error if that is larger."""
    largest = np.array(errors.kernel_max) / np.maximum(errors.baseline_max, errors.rounding_max)
    rms = np.array(errors.kernel_rms) / np.maximum(errors.baseline_rms, errors.rounding_rms)
    return float(largest.max()), float(rms.max())


def print_table(ratios: Sequence[Ratio]) -> None:
    """Print a row for each kind of kernel and distribution, over all workloads and seeds."""
    limits = load_kernel(ATTENTION).numerics
    groups: dict[tuple[str, str], list[Ratio]] = defaultdict(list)
    for ratio in ratios:
        groups[ratio.kind, ratio.distribution].append(ratio)
    print("| kernel | distribution | cases | max: least / median / 99 % / worst | RMS: the same | within both limits |")
    print("|---|---|---|---|---|---|")
    for (kind, distribution), group in sorted(groups.items()):
        within = sum(each.max <= limits.max_factor and each.rms <= limits.rms_factor for each in group)
        figures = " | ".join(quantiles([getattr(each, name) for each in group]) for name in ("max", "rms"))
        print(f"| {kind} | {distribution} | {len(group)} | {figures} | {within} |")


def quantiles(values: Sequence[float]) -> str:
    """Format least, median, 99 % and largest."""
    return " / ".join(f"{value:.2f}" for value in np.quantile(values, [0.0, 0.5, 0.99, 1.0]))


if __name__ == "__main__":
    main()
