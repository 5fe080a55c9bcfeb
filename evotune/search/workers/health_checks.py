"""What a worker's canary says: figures, how they compare, and what is to be thought of the worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evotune.search.outcomes import device_record
from evotune_db.records import HealthCheckRecord
from evotune_workers.cluster.cluster import Worker
from evotune_workers.measuring.child_session import CANDIDATE
from evotune_workers.measuring.jobs import Measurement
from evotune_workers.timing.statistics import Interval, median_interval


@dataclass(frozen=True)
class Figures:
    """A canary at one workload: its own time and the baseline's in microseconds, and the speed-up."""

    own_us: Interval
    baseline_us: Interval
    speedup: Interval


Reading = Mapping[str, Figures]


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a worker; `reason` None where it is as it should be.

    `odd`: it has to show itself good in a fresh process, else it is `quarantined`. `numbers` are the trials that it
    measured since it was good, once it is known who measures them again.
    """

    worker: Worker
    kind: Literal["good", "odd", "quarantined"]
    reason: str | None
    numbers: tuple[int, ...] = ()


def reading(measurement: Measurement) -> Reading:
    """What a measurement that passed says of its configuration, by workload."""
    return {
        timing.workload: Figures(
            _interval(timing.samples[CANDIDATE]),
            _interval(timing.samples[timing.baseline]),
            Interval(timing.speedup, timing.speedup_low, timing.speedup_high),
        )
        for timing in measurement.timings
        if timing.mode == "cold"
    }


def health_check_record(trial: int, verdict: Verdict, measurement: Measurement | None) -> HealthCheckRecord:
    """What is thought of a worker, as the record keeps it, with what it measured where that is why."""
    figures = reading(measurement) if measurement is not None and measurement.failed_gate is None else {}
    return HealthCheckRecord(
        trial=trial,
        worker=verdict.worker.name,
        device=device_record(verdict.worker.device),
        verdict=verdict.kind,
        reason=verdict.reason,
        seconds=measurement.seconds if measurement is not None else 0.0,
        figures={
            workload: {
                "median_us": each.own_us.median,
                "baseline_us": each.baseline_us.median,
                "speedup": each.speedup.median,
                "speedup_low": each.speedup.low,
                "speedup_high": each.speedup.high,
            }
            for workload, each in figures.items()
        },
    )


def slower(now: Reading, others: Sequence[Reading], margin: float) -> str | None:
    """How much slower than where it was fastest, if it is by the margin: its own time, or the baseline's."""
    for workload, figures in now.items():
        for what, mine, theirs in (
            ("a configuration", figures.own_us, [other[workload].own_us for other in others]),
            ("the baseline", figures.baseline_us, [other[workload].baseline_us for other in others]),
        ):
            best = min(theirs, key=lambda interval: interval.median)
            if mine.low > margin * best.high:
                more = mine.median / best.median - 1
                return f"{what} takes {more:.0%} longer at {workload} than on another of its kind"
    return None


def drifted(now: Reading, first: Reading, margin: float) -> str | None:
    """How far the speed-up is from what it was at first, if it is by the margin."""
    for workload, figures in now.items():
        mine, before = figures.speedup, first[workload].speedup
        if mine.low > margin * before.high or mine.high * margin < before.low:
            return f"a configuration's speed-up at {workload} was {before.median:.2f}x and is {mine.median:.2f}x"
    return None


def _interval(samples: Sequence[tuple[float, float]]) -> Interval:
    return median_interval([sum(pair) / len(pair) for pair in samples])
