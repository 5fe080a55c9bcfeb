"""Comparing candidates outside of a search: one with another, or one with every baseline."""

from __future__ import annotations

import numpy as np

from evotune_workers.measuring.child_session import CANDIDATE, Session, Sides
from evotune_workers.measuring.jobs import CompareJob, CompareWithBaselinesJob, Duel
from evotune_workers.measuring.timing_session import TimingSession
from evotune_workers.timing.protocol import MOST_BLOCKS, Samples
from evotune_workers.timing.statistics import mean_interval
from evotune_workers.timing.summary import Timing

# On a CPU one of two copies of the same code is up to 1.5 % faster for as long as they are loaded, by where its pages
# lie: a comparison loads both this often and takes each time as one observation.
CPU_LOADS, BLOCKS_OF_LOAD = 12, 10


def compare(session: Session, job: CompareJob) -> Duel:
    """Time two candidates interleaved; raises GateFailed when one cannot be run, NoResult on a busy machine."""
    sides = {f"{CANDIDATE} {place}": (each, each.builds[0]) for place, each in enumerate((job.first, job.second))}
    first, second = sides
    if session.device.kind != "cpu":
        samples = _samples(session, sides, job, MOST_BLOCKS)
        return Duel(samples.speedup(first, second), samples.median_us(first), samples.median_us(second))
    loads = [_samples(session, sides, job, BLOCKS_OF_LOAD) for _ in range(CPU_LOADS)]
    return Duel(
        mean_interval([samples.speedup(first, second).median for samples in loads]),
        *(float(np.median([samples.median_us(side) for samples in loads])) for side in sides),
    )


def compare_with_baselines(session: Session, job: CompareWithBaselinesJob) -> Timing:
    """Time a candidate beside every baseline; raises as `compare`."""
    built = job.candidate.builds[0]
    with session.loaded({CANDIDATE: (job.candidate, built)}, job.variant, job.seeds):
        keeper = TimingSession(session, {CANDIDATE: built}, finalists=True)
        return keeper.cold_and_warm(None)[CANDIDATE][0]


def _samples(session: Session, sides: Sides, job: CompareJob, most_blocks: int) -> Samples:
    """Load both sides anew and time the first against the second."""
    with session.loaded(sides, job.variant, job.seeds):
        keeper = TimingSession(session, {side: built for side, (_, built) in sides.items()}, finalists=True)
        first, second = sides
        return keeper.against(first, second, most_blocks)
