"""Figures of a health check, how they compare, and the verdict on a worker."""

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
    """Times of the reference and of the baseline at one workload in microseconds, and the speed-up."""

    own_us: Interval
    baseline_us: Interval
    speedup: Interval


# By workload.
HealthFigures = Mapping[str, Figures]


@dataclass(frozen=True)
class Verdict:
    """Judgement of a worker; `reason` is None for a good one.

    An `odd` worker has to pass a check in a fresh process, or else is `quarantined`. `numbers` are the unreliable
    trials that it measured since its last good check, once it is known that they are measured again.
    """

    worker: Worker
    kind: Literal["good", "odd", "quarantined"]
    reason: str | None
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Distrust:
    """A verdict that makes trials unreliable, or ends a worker's part; `row` is its health check in the database."""

    verdict: Verdict
    row: int


def health_figures(measurement: Measurement) -> HealthFigures:
    """Return the figures of a measurement that passed."""
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
    """Return the database record of a verdict, with the worker's own measurement where it has one."""
    passed = measurement is not None and measurement.failed_gate is None
    figures = health_figures(measurement) if measurement is not None and passed else {}
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


def slower(now: HealthFigures, others: Sequence[HealthFigures], margin: float) -> str | None:
    """Say how much longer than its fastest peer a worker takes, if beyond the margin: its own time or the baseline's.

    Returns None for a worker within the margin.
    """
    for workload, figures in now.items():
        for name, mine, theirs in (
            ("a configuration", figures.own_us, [other[workload].own_us for other in others]),
            ("the baseline", figures.baseline_us, [other[workload].baseline_us for other in others]),
        ):
            best = min(theirs, key=lambda interval: interval.median)
            if mine.low > margin * best.high:
                more = mine.median / best.median - 1
                return f"{name} takes {more:.0%} longer at {workload} than on another of its kind"
    return None


def drifted(now: HealthFigures, first: HealthFigures, margin: float) -> str | None:
    """Say how far the speed-up is from the first one, if beyond the margin; else return None."""
    for workload, figures in now.items():
        mine, before = figures.speedup, first[workload].speedup
        if mine.low > margin * before.high or mine.high * margin < before.low:
            return f"a configuration's speed-up at {workload} was {before.median:.2f}x and is {mine.median:.2f}x"
    return None


def _interval(samples: Sequence[tuple[float, float]]) -> Interval:
    return median_interval([sum(pair) / len(pair) for pair in samples])
