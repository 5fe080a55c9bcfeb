"""What different tuners found, by one clock: evotune's gates for each, then all that pass timed side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.beside_kernel_tuner.job import Evaluated
from evotune.planning.locate import kernel_folder
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel import Configuration
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import ConfirmJob, MeasureJob, Measurement
from evotune_workers.measuring.measurer import Measurer
from evotune_workers.timing.protocol import Timing
from evotune_workers.timing.statistics import Interval, median_interval

FOLDER = kernel_folder("attention_fwd")
VARIANT = "sm80"
SEEDS, NEW_SEEDS = (1, 2, 3), (11, 12, 13)
# Should a tuner's best be refused, so many in all are tried, by its own ranking.
PLACES = 3


@dataclass(frozen=True)
class Refused:
    """A configuration that evotune's gates refuse; `place` counts from 1 in its tuner's own ranking."""

    place: int
    claimed_us: float
    gate: str
    reason: str | None


@dataclass(frozen=True)
class Verdict:
    """Of one tuner: who was refused, and the best that was not, as it was claimed and as evotune timed it.

    `configuration` is None where nothing passed; times are None where it was not confirmed, for this `reason`.
    `over_first`: how many times as long as the first tuner's it takes, cold, in the same blocks.
    """

    refused: tuple[Refused, ...]
    place: int | None = None
    configuration: Configuration | None = None
    claimed_us: float | None = None
    cold_us: float | None = None
    warm_us: float | None = None
    speedup: Interval | None = None
    baseline: str | None = None
    over_first: Interval | None = None
    reason: str | None = None


def verdicts(device: Device, workload: str, found: Mapping[str, Sequence[Evaluated]]) -> dict[str, Verdict]:
    """For every tuner, of what it found, best first."""
    measurer = Measurer(FOLDER, device)
    try:
        passing: list[Candidate] = []
        made = {
            name: _first_passing(measurer, device, workload, ranked[:PLACES], number, passing)
            for number, (name, ranked) in enumerate(found.items())
        }
        timed = measurer.run(ConfirmJob(tuple(passing), VARIANT, NEW_SEEDS)) if passing else ()
    finally:
        measurer.close()
    return _with_times(made, {measurement.number: measurement for measurement in timed})


def _first_passing(
    measurer: Measurer,
    device: Device,
    workload: str,
    ranked: Sequence[Evaluated],
    number: int,
    passing: list[Candidate],
) -> Verdict:
    """The verdict so far; whoever passes joins the others, with its tuner's number."""
    refused: list[Refused] = []
    for place, each in enumerate(ranked, start=1):
        candidate = build_candidate(FOLDER, BuildJob(number, each.configuration, VARIANT, device.target, (workload,)))
        failure = _refusal(measurer, candidate)
        if failure is None:
            passing.append(candidate)
            return Verdict(tuple(refused), place, each.configuration, each.claimed_us)
        refused.append(Refused(place, each.claimed_us, *failure))
    return Verdict(tuple(refused))


def _refusal(measurer: Measurer, candidate: Candidate) -> tuple[str, str | None] | None:
    """The gate and the reason; None for one that passes, or that only the timing has to wait for."""
    failure = candidate.builds[0].build.failure
    if failure is not None:
        return "build", failure
    measurement = measurer.run(MeasureJob(candidate, VARIANT, SEEDS, {}))
    passes = measurement.failed_gate is None or measurement.busy
    return None if passes else (str(measurement.failed_gate), measurement.reason)


def _with_times(made: Mapping[str, Verdict], timed: Mapping[int, Measurement]) -> dict[str, Verdict]:
    first = timed[0].timings[0] if 0 in timed and timed[0].timings else None
    numbered = enumerate(made.items())
    return {name: _with_time(verdict, number, timed.get(number), first) for number, (name, verdict) in numbered}


def _with_time(verdict: Verdict, number: int, timed: Measurement | None, first: Timing | None) -> Verdict:
    if timed is None or not timed.timings:
        return replace(verdict, reason=timed.reason if timed else None)
    cold, warm = timed.timings
    return replace(
        verdict,
        cold_us=cold.median_us,
        warm_us=warm.median_us,
        speedup=Interval(cold.speedup, cold.speedup_low, cold.speedup_high),
        baseline=cold.baseline,
        over_first=None if first is None else _ratio(cold, number, first),
    )


def _ratio(timing: Timing, number: int, first: Timing) -> Interval:
    """Block by block: both were timed in every block of one process."""
    pairs = zip(timing.samples[f"candidate {number}"], first.samples["candidate 0"], strict=True)
    return median_interval([sum(theirs) / sum(ours) for theirs, ours in pairs])
