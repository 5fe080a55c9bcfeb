"""From samples to a candidate's timing, the value that is stored and ranked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evotune_workers.timing.protocol import Samples, fastest
from evotune_workers.timing.stopwatch import Mode, StopwatchSetup


@dataclass(frozen=True)
class Timing:
    """The timing of a candidate and of the fastest baseline, in microseconds; speed-up = baseline / candidate.

    `censored` tells that measuring stopped early, because the candidate is clearly slower than the incumbent. `samples`
    holds the pair of times of each block, by side. `build_key` names the candidate's build.
    """

    workload: str
    mode: Mode
    build_key: str
    baseline: str
    median_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    baseline_us: float
    speedup: float
    speedup_low: float
    speedup_high: float
    blocks: int
    dropped_blocks: int
    censored: bool
    samples: Mapping[str, Sequence[tuple[float, float]]]
    conditions: Mapping[str, Any] = field(default_factory=dict)


def summarise(
    samples: Samples,
    candidate: str,
    build_key: str,
    baselines: Sequence[str],
    workload: str,
    mode: Mode,
    censored: bool,
    conditions: Mapping[str, Any],
) -> Timing:
    """Return a candidate's timing against the fastest of the baselines."""
    opponent = fastest(samples, baselines)
    speedup = samples.speedup(candidate, opponent)
    p50, p90, p99 = np.percentile(np.asarray(samples.times(candidate)), [50, 90, 99])
    timed = {name: samples.median_us(name) for name in baselines if samples.times(name)}
    others = {**conditions.get("estimates_us", {}), **timed}
    return Timing(
        workload=workload,
        mode=mode,
        build_key=build_key,
        baseline=opponent,
        median_us=samples.median_us(candidate),
        p50_us=float(p50),
        p90_us=float(p90),
        p99_us=float(p99),
        baseline_us=samples.median_us(opponent),
        speedup=speedup.median,
        speedup_low=speedup.low,
        speedup_high=speedup.high,
        blocks=len(samples.kept),
        dropped_blocks=samples.dropped,
        censored=censored,
        samples={side: samples.times(side) for side in (candidate, *baselines)},
        conditions={**conditions, "baselines_us": others, **_device_conditions(samples)},
    )


def most_cautious(runs: Sequence[Mapping[str, tuple[Timing, ...]]]) -> Mapping[str, tuple[Timing, ...]]:
    """Return the run in which the baseline was fastest.

    A disturbance slows the baseline more than the candidate, so that this run flatters candidates least.
    """
    return min(runs, key=lambda run: min(timings[0].baseline_us for timings in run.values()))


def _device_conditions(samples: Samples) -> dict[str, Any]:
    """Return the device's conditions during the blocks that count."""
    conditions = [block.conditions for block in samples.kept]
    found: dict[str, Any] = {"disturbed": max(each.disturbed for each in conditions)}
    for name in ("clock_mhz", "power_w"):
        values = [value for each in conditions if (value := getattr(each, name)) is not None]
        if values:
            found[name] = values
    throttled = sorted({reason for each in conditions for reason in each.throttled})
    return {**found, "throttled": throttled} if throttled else found


def as_conditions(setup: StopwatchSetup, **more: Any) -> dict[str, Any]:
    """Return a stopwatch's setup, without its errors, as JSON-like conditions of a timing."""
    known = {key: value for key, value in dataclasses.asdict(setup).items() if key != "errors"}
    return {**known, **more}
