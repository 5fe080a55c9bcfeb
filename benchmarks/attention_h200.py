"""Time the attention kernel against every SDPA backend at the shapes of docs/results.md, on this machine's GPU.

    python benchmarks/attention_h200.py [--workload NAME ...] [--out benchmarks/results/attention_h200.json]
        [--configurations benchmarks/attention_h200.yaml]

For each shape, it builds the valid configurations of the file, runs every gate and the timing for each, and confirms
the three best cold and the three best warm in a fresh process with new seeds. It writes the figures of the fastest
cold and the fastest warm one, with device, versions, date and git commit.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import yaml

from benchmarks.shared.results_file import write_results
from benchmarks.shared.speedups import over_baselines
from evotune.planning.locate import kernel_folder, space_file
from evotune.space import load_space
from evotune.space.rules import Rules
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.contract import Configuration
from evotune_workers.kernel.device import Device, local_devices
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.measuring.jobs import ConfirmJob, MeasureJob, Measurement
from evotune_workers.measuring.measurer import Measurer
from evotune_workers.timing.summary import Timing

FOLDER = kernel_folder("attention_fwd")
KERNEL = load_kernel(FOLDER)
VARIANT = KERNEL.variant("sm80")
CONFIGURATIONS = Path(__file__).with_suffix(".yaml")
SEEDS, NEW_SEEDS = (1, 2, 3), (11, 12, 13)
MODES = ("cold", "warm")
SHOWN = ("sdpa_flash", "sdpa_cudnn")
FINALISTS = 3
CONFIRM_ATTEMPTS = 3


def main() -> None:
    """Measure the shapes one after the other, print a line for each, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shapes_served = [workload.name for workload in KERNEL.workloads if VARIANT.supports(workload)]
    parser.add_argument("--workload", nargs="*", default=shapes_served)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "attention_h200.json")
    parser.add_argument("--configurations", type=Path, default=CONFIGURATIONS)
    options = parser.parse_args()
    device = local_devices()[0]
    shapes: dict[str, Any] = {}
    for name in options.workload:
        shapes[name] = measure_shape(device, name, options.configurations)
        print(row(name, shapes[name]), flush=True)
        write_results(options.out, device, {"shapes": shapes})
    for side in SHOWN:
        timed = [shape["warm"]["over"] for shape in shapes.values() if "warm" in shape]
        ratios = [over[side] for over in timed if side in over]
        if ratios:
            print(f"over {side}, warm, {len(ratios)} shapes: {geometric_mean(ratios):.3f}, least {min(ratios):.3f}")


def measure_shape(device: Device, workload: str, file: Path) -> dict[str, Any]:
    """Return the fastest configuration's figures at a workload, and the number that each gate refused."""
    jobs = [
        BuildJob(number, configuration, "sm80", device.target, (workload,))
        for number, configuration in enumerate(valid_configurations(device, workload, file))
    ]
    with ProcessPoolExecutor() as pool:
        candidates = list(pool.map(partial(build_candidate, FOLDER), jobs))
    measurer = Measurer(FOLDER, device)
    try:
        finalists, refused = qualify(measurer, candidates)
        confirmed = confirm(measurer, finalists)
    finally:
        measurer.close()
    passed = [measurement for measurement in confirmed if measurement.timings]
    if not passed:
        return {"refused": refused, "reasons": [measurement.reason for measurement in confirmed]}
    return {
        **{mode: best(passed, candidates, place) for place, mode in enumerate(MODES)},
        "refused": refused,
    }


def best(passed: Sequence[Measurement], candidates: Sequence[Candidate], place: int) -> dict[str, Any]:
    """Return the fastest of one timing mode: cold and warm caches may favour different configurations."""
    fastest = min(passed, key=lambda measurement: measurement.timings[place].median_us)
    configuration = dict(candidates[fastest.number].configuration)
    return {"configuration": configuration, **figures(fastest.timings[place])}


def confirm(measurer: Measurer, finalists: Sequence[Candidate]) -> Sequence[Measurement]:
    """Confirm the finalists; try again if the clock changed too much for a result, as under a long heavy kernel."""
    for _ in range(CONFIRM_ATTEMPTS):
        confirmed = measurer.run(ConfirmJob(tuple(finalists), "sm80", NEW_SEEDS))
        if any(measurement.timings for measurement in confirmed):
            break
    return confirmed


def valid_configurations(device: Device, workload: str, file: Path) -> list[Configuration]:
    """Return the configurations of the file that the built-in space allows at this workload."""
    listed = yaml.safe_load(file.read_text())
    space = load_space(space_file("attention_fwd", "h200"))
    shape = named_workload(KERNEL, workload)
    configurations = [{**listed["common"], **each} for each in listed["configurations"]]
    names = frozenset(parameter.name for parameter in space.parameters)
    rules = Rules(names, space.constraints, dict(device.limits), lambda each: VARIANT.derived(each, shape))
    return [configuration for configuration in configurations if rules.broken_by(configuration) is None]


def qualify(measurer: Measurer, candidates: Sequence[Candidate]) -> tuple[list[Candidate], dict[str, int]]:
    """Return the fastest candidates that pass every gate, and the number that each gate refused."""
    times: dict[int, tuple[float, ...]] = {}
    refused: dict[str, int] = {}
    best = 0.0
    for candidate in candidates:
        incumbents = {candidate.builds[0].workload: best} if best else {}
        measurement = measurer.run(MeasureJob(candidate, "sm80", SEEDS, incumbents))
        if measurement.failed_gate is not None:
            refused[measurement.failed_gate] = refused.get(measurement.failed_gate, 0) + 1
            continue
        # A candidate that is far slower than the best has only a cold timing.
        times[candidate.number] = tuple(timing.median_us for timing in measurement.timings)
        best = max(best, measurement.timings[0].speedup_low)
    finalists: dict[int, None] = {}
    for place in range(len(MODES)):
        timed = [number for number in times if len(times[number]) > place]
        finalists |= dict.fromkeys(sorted(timed, key=lambda number: times[number][place])[:FINALISTS])
    return [candidates[number] for number in finalists], refused


def figures(timing: Timing) -> dict[str, Any]:
    """Return the times in microseconds, and the speed-up over each backend that was timed."""
    return {
        "median_us": timing.median_us,
        "p50_us": timing.p50_us,
        "p90_us": timing.p90_us,
        "p99_us": timing.p99_us,
        "fastest_backend": timing.baseline,
        "speedup": [timing.speedup, timing.speedup_low, timing.speedup_high],
        "over": over_baselines(timing.samples),
        "backends_us": timing.conditions["baselines_us"],
        "unavailable": timing.conditions["unavailable"],
        "clock_mhz": sorted(set(timing.conditions["clock_mhz"])),
    }


def row(name: str, shape: Mapping[str, Any]) -> str:
    """Format a shape for docs/results.md; a backend without a timed block has no ratio, and at most an estimate."""
    if "warm" not in shape:
        return f"| {name} | no result: {shape['refused']}, {shape['reasons']} |"
    warm, cold = shape["warm"], shape["cold"]
    cells = [
        f"{warm['median_us']:.2f}",
        *(_cell(warm["backends_us"], side, "") for side in SHOWN),
        *(_cell(warm["over"], side, "x") for side in SHOWN),
        f"{cold['median_us']:.2f}",
        _cell(cold["over"], "sdpa_cudnn", "x"),
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _cell(figures: Mapping[str, float], side: str, unit: str) -> str:
    return f"{figures[side]:.2f}{unit}" if side in figures else "-"


if __name__ == "__main__":
    main()
