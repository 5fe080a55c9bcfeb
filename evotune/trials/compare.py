"""Time two trials, or a trial and the fastest baseline, against each other on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evotune.errors import UserError
from evotune.planning.seeds import confirmation_seeds
from evotune.trials.device import device_that_measured
from evotune.trials.rebuild import rebuilt
from evotune.trials.select import Selected, select
from evotune_db import Database
from evotune_db.records import LeaderboardFilter
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.folder import load_kernel
from evotune_workers.measuring.child_session import GateFailed
from evotune_workers.measuring.jobs import CompareJob, CompareWithBaselinesJob
from evotune_workers.measuring.measurer import Measurer
from evotune_workers.timing.statistics import Interval

Verdict = Literal["faster", "slower", "no difference seen"]


@dataclass(frozen=True)
class Comparison:
    """Two medians in microseconds, on cold caches. `speedup` is the second time / the first, with its 95 % interval."""

    workload: str
    device: str
    first: str
    second: str
    first_us: float
    second_us: float
    speedup: float
    speedup_low: float
    speedup_high: float
    verdict: Verdict


def compare_trials(database: Database, first: int, second: int | None, workload: str | None) -> Comparison:
    """Time trial `first` against trial `second`, or against the fastest baseline where `second` is None.

    As in the confirmation of finalists: a fresh process, seeds that no search uses, interleaved blocks and a bootstrap
    interval. Raises UserError when a trial is not listed, or when the two differ in kernel, target or workload. Raises
    it also when this machine lacks the device or is too busy for a clear result.
    """
    wanted = [trial for trial in (first, second) if trial is not None]
    chosen = [select(database, LeaderboardFilter(trial=trial, workload=workload, top=1)) for trial in wanted]
    _check_same(chosen)
    ours = chosen[0]
    device = device_that_measured(ours.entry, "compared")
    variant = load_kernel(ours.folder).variant_for(ours.entry.target).name
    candidates = [rebuilt(each.details, each.folder, variant, each.entry.workload) for each in chosen]
    seeds = confirmation_seeds(ours.details.record.seed)
    measurer = Measurer(ours.folder, device)
    try:
        other, first_us, second_us, ratio = _timed(measurer, candidates, variant, seeds)
    except GateFailed as failed:
        raise UserError(f"the trials must run and be timed to be compared: {failed}") from failed
    finally:
        measurer.close()
    names = [f"trial {each.entry.trial}" for each in chosen]
    return Comparison(
        workload=ours.entry.workload,
        device=device.name,
        first=names[0],
        second=other or names[1],
        first_us=first_us,
        second_us=second_us,
        speedup=ratio.median,
        speedup_low=ratio.low,
        speedup_high=ratio.high,
        verdict=verdict(ratio),
    )


def verdict(ratio: Interval) -> Verdict:
    """Return the verdict on the first trial from an interval of second time / first time."""
    if ratio.low > 1:
        return "faster"
    return "slower" if ratio.high < 1 else "no difference seen"


def _check_same(chosen: list[Selected]) -> None:
    kinds = [(each.entry.kernel, each.entry.target, each.entry.workload) for each in chosen]
    if len(set(kinds)) > 1:
        told = " and ".join(f"{each.entry.trial} ({', '.join(kind)})" for each, kind in zip(chosen, kinds, strict=True))
        raise UserError(
            f"trials to compare must be of one kernel, target and workload, got {told}; --workload picks one"
        )


def _timed(
    measurer: Measurer, candidates: list[Candidate], variant: str, seeds: tuple[int, ...]
) -> tuple[str | None, float, float, Interval]:
    """Return the baseline's name if there is one, both times, and their ratio."""
    if len(candidates) == 1:
        timing = measurer.run(CompareWithBaselinesJob(candidates[0], variant, seeds))
        ratio = Interval(timing.speedup, timing.speedup_low, timing.speedup_high)
        return timing.baseline, timing.median_us, timing.baseline_us, ratio
    duel = measurer.run(CompareJob(candidates[0], candidates[1], variant, seeds))
    return None, duel.first_us, duel.second_us, duel.ratio
