"""Run searches of recorded spaces: a sampler is asked and told exactly as in a real search."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from benchmarks.replaying import kernel_tuner
from evotune.replay import Recording
from evotune.samplers import make_sampler

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """One run: `in_flight` proposals are made before their outcomes are told."""

    recording: int
    sampler: str
    seed: int
    budget: int
    in_flight: int


@dataclass(frozen=True, eq=False)
class Run:
    """The best time after each evaluation, and the seconds that each proposal took."""

    curve: Array
    seconds: Array


class NothingTried(Exception):
    """The sampler ended before its first evaluation; the message is one line for the user."""


def run_all(recordings: Sequence[Recording], jobs: Sequence[Job], processes: int) -> list[Run]:
    """Return the runs of all jobs, in their order."""
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_share, initargs=(recordings,))
    with pool:
        return list(pool.map(_run_shared, jobs, chunksize=1))


def run(recording: Recording, job: Job) -> Run:
    """Run one search; if the budget is larger than the space, the curve continues with its last value.

    Raises NothingTried.
    """
    if job.sampler.startswith(kernel_tuner.PREFIX):
        return _run_kernel_tuner(recording, job)
    study = optuna.create_study(sampler=make_sampler(job.sampler, recording.valid, job.seed), direction="minimize")
    left = iter(range(min(job.budget, len(recording.valid))))
    times: list[float] = []
    seconds: list[float] = []
    while batch := list(islice(left, job.in_flight)):
        asked = [_ask(study, recording, seconds) for _ in batch]
        for number, i in asked:
            times.append(float(recording.times[i]))
            _tell(study, number, times[-1])
    return _run(recording, job, np.array(times), np.array(seconds))


def _run_kernel_tuner(recording: Recording, job: Job) -> Run:
    strategy = job.sampler.removeprefix(kernel_tuner.PREFIX)
    times, seconds = kernel_tuner.run_strategy(recording, strategy, job.seed, job.budget)
    return _run(recording, job, times, np.full(len(times), seconds / max(1, len(times))))


def _run(recording: Recording, job: Job, times: Array, seconds: Array) -> Run:
    if not len(times):
        raise NothingTried(
            f"a sampler must try a configuration, {job.sampler} tried none of {recording.name} with seed {job.seed}; "
            "leave it out of --samplers"
        )
    best = np.fmin.accumulate(times)
    return Run(np.pad(best, (0, job.budget - len(best)), mode="edge"), seconds)


def _ask(study: optuna.Study, recording: Recording, seconds: list[float]) -> tuple[int, int]:
    distributions: dict[str, BaseDistribution] = {**recording.valid.distributions()}
    started = time.perf_counter()
    trial = study.ask(distributions)
    seconds.append(time.perf_counter() - started)
    return trial.number, recording.valid.index(trial.params)


def _tell(study: optuna.Study, number: int, milliseconds: float) -> None:
    if math.isnan(milliseconds):
        study.tell(number, state=TrialState.FAIL)
    else:
        study.tell(number, milliseconds)


_shared: list[Recording] = []


def _share(recordings: Sequence[Recording]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _shared[:] = recordings
    threadpool_limits(limits=1)


def _run_shared(job: Job) -> Run:
    return run(_shared[job.recording], job)
