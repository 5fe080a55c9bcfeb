"""Timing the builds that a session has loaded: asks for blocks, judges what was timed, and sums up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from evotune_workers.compilers.candidate import WorkloadBuild
from evotune_workers.gates.error_limits import judge_errors
from evotune_workers.gates.gate import Observation
from evotune_workers.measuring.child_session import GateFailed, Session, refuse
from evotune_workers.measuring.stopwatches import open_stopwatch
from evotune_workers.timing.protocol import (
    MOST_BLOCKS,
    NO_SAMPLES,
    SEARCH_BLOCKS,
    WARM_BLOCKS,
    Samples,
    fastest,
    measure_interleaved,
    plausible_opponents,
)
from evotune_workers.timing.repeating import repeating_fault
from evotune_workers.timing.stopwatch import Block, Mode, StopwatchSetup
from evotune_workers.timing.summary import Timing, as_conditions, summarise

# A correct kernel takes as long on new inputs as on others. A kernel that keeps results has to compute these, which
# takes several times as long.
UNSEEN_MARGIN = 1.25
# The limits on errors are this much wider for new inputs, which are drawn at random: a kernel close to the limits must
# not fail by chance. A result that was kept is wrong by far more.
UNSEEN_FACTOR = 2.0
# Blocks of a glance at another distribution of inputs.
GLANCE_BLOCKS = 5
# Pauses after each attempt that other work on the machine spoilt. A trial has fewer attempts, since it is queued again.
FINALIST_PAUSES_SECONDS = (1.0, 4.0, 0.0)
TRIAL_PAUSES_SECONDS = (0.5, 0.0)


class NoResult(GateFailed):
    """The machine was too busy to time anything, for which no configuration is at fault."""


class TimingSession:
    """Times loaded builds at one workload beside the kernel's baselines. `sides` names the candidates' builds."""

    def __init__(
        self,
        session: Session,
        sides: dict[str, WorkloadBuild],
        *,
        finalists: bool = False,
        distribution: str | None = None,
    ) -> None:
        """Time builds that the session has loaded under these names; `finalists` are timed longer, and against all.

        The inputs are of that distribution of the kernel, or of its first.
        """
        self._session, self._sides, self._finalists = session, sides, finalists
        self._distribution = distribution or session.kernel.distributions[0]
        self._workload = next(iter(sides.values())).workload

    def cold_and_warm(self, incumbent: float | None) -> dict[str, tuple[Timing, ...]]:
        """Return each side's cold timing, which ranks it, and its warm timing.

        There is no warm timing when the cold one was censored or other work spoilt the warm one.
        Raises GateFailed when a timed output was wrong, NoResult when the machine was too busy.
        """
        watch = self._open("cold")
        samples, censored = self._measure_undisturbed(tuple(self._sides), self._opponents(watch), incumbent)
        self._judge_outputs(watch, samples)
        self._review_unseen(samples)
        cold = self._summed_up(watch, samples, censored)
        if censored:
            return {side: (timing,) for side, timing in cold.items()}
        watch = self._open("warm")
        samples = NO_SAMPLES.joined(self._run_blocks(WARM_BLOCKS, (*self._sides, *self._opponents(watch))))
        if samples.too_disturbed or not samples.kept:
            return {side: (timing,) for side, timing in cold.items()}
        self._judge_outputs(watch, samples)
        warm = self._summed_up(watch, samples, censored=False)
        for side, timing in cold.items():
            self._judge_repeating(timing, warm[side], self._session.criteria(self._sides[side]).moved_bytes)
        return {side: (timing, warm[side]) for side, timing in cold.items()}

    def against(self, first: str, second: str, most_blocks: int = MOST_BLOCKS) -> Samples:
        """Return samples of one candidate against another; raises NoResult."""
        self._open("cold")
        samples, _ = self._measure_undisturbed((first,), (second,), None, most_blocks)
        self._require_undisturbed(samples)
        return samples

    def glance(self) -> dict[str, float]:
        """Return each side's speed-up in a few cold blocks: too few to rank it, enough to see that it is much slower.

        Raises GateFailed when a timed output was wrong.
        """
        watch = self._open("cold")
        baselines = self._baselines(watch)
        samples = NO_SAMPLES.joined(self._run_blocks(GLANCE_BLOCKS, (*self._sides, *baselines)))
        self._judge_outputs(watch, samples)
        if not samples.kept:
            return {}
        opponent = fastest(samples, baselines)
        return {side: samples.speedup(side, opponent).median for side in self._sides}

    def _open(self, mode: Mode) -> StopwatchSetup:
        self._stopwatch = open_stopwatch(self._session, tuple(self._sides), self._workload, mode, self._distribution)
        return self._stopwatch.setup()

    def _baselines(self, watch: StopwatchSetup) -> tuple[str, ...]:
        return tuple(side for side in watch.sides if side not in self._sides)

    def _opponents(self, watch: StopwatchSetup) -> tuple[str, ...]:
        """Return every baseline that runs here for finalists, and those that may be the fastest for a trial."""
        baselines = self._baselines(watch)
        return baselines if self._finalists else plausible_opponents(baselines, watch.estimates_us)

    def _measure_undisturbed(
        self,
        candidates: Sequence[str],
        baselines: Sequence[str],
        incumbent: float | None,
        most_blocks: int = MOST_BLOCKS,
    ) -> tuple[Samples, bool]:
        """Measure, and again after a pause while other work on the machine spoils the samples."""
        most = most_blocks if self._finalists else SEARCH_BLOCKS
        for pause in FINALIST_PAUSES_SECONDS if self._finalists else TRIAL_PAUSES_SECONDS:
            samples, censored = measure_interleaved(candidates, baselines, self._run_blocks, incumbent, most)
            if not samples.too_disturbed:
                break
            time.sleep(pause)
        return samples, censored

    def _run_blocks(self, count: int, sides: tuple[str, ...]) -> tuple[Block, ...]:
        return self._stopwatch.blocks(count, sides)

    def _summed_up(self, watch: StopwatchSetup, samples: Samples, censored: bool) -> dict[str, Timing]:
        self._require_undisturbed(samples)
        conditions = as_conditions(watch, distribution=self._distribution, **self._session.conditions)
        baselines, mode = self._opponents(watch), watch.mode
        timings = {
            side: summarise(samples, side, built.build.key, baselines, self._workload, mode, censored, conditions)
            for side, built in self._sides.items()
        }
        for side, timing in timings.items():
            self._judge_floor(timing, self._session.criteria(self._sides[side]).floor_us)
        return timings

    def _judge_outputs(self, watch: StopwatchSetup, samples: Samples) -> None:
        """Require correct outputs: right against float64, and every timed output bit-equal to those."""
        for side, built in self._sides.items():
            criteria = self._session.criteria(built)
            for errors in watch.errors[side]:
                result = judge_errors("timing", Observation({}, self._workload, errors=errors), criteria)
                if not result.passed:
                    raise GateFailed((result,))
            if side in samples.wrong:
                raise refuse("timing", "a timed output has other bits than the one checked", self._workload)

    def _review_unseen(self, samples: Samples) -> None:
        """Require right outputs in the same time on inputs that are new to the build: it must not keep results."""
        unseen = self._stopwatch.unseen_errors()
        for side, built in self._sides.items():
            criteria = self._session.criteria(built)
            wide = replace(
                criteria, max_factor=UNSEEN_FACTOR * criteria.max_factor, rms_factor=UNSEEN_FACTOR * criteria.rms_factor
            )
            result = judge_errors("timing", Observation({}, self._workload, errors=unseen.get(side)), wide)
            if not result.passed:
                raise GateFailed((replace(result, reason=f"on inputs not met before: {result.reason}"),))
            ratio = samples.unseen_ratio(side)
            if not ratio <= UNSEEN_MARGIN:
                told = f"inputs not met before must take as long as others, they take {ratio:.2f}x"
                raise refuse("timing", told, self._workload)

    def _judge_floor(self, timing: Timing, floor_us: float) -> None:
        """Require the roofline's time, as the plausibility gate does for a single call, which takes longer."""
        if timing.median_us < floor_us:
            told = f"a call must take {floor_us:.3f} us at least on this device, it took {timing.median_us:.3f}"
            raise refuse("timing", f"{told}: it cannot have done the work", self._workload)

    def _judge_repeating(self, cold: Timing, warm: Timing, moved_bytes: float) -> None:
        device = self._session.device
        fault = repeating_fault(cold, warm, moved_bytes, device.limits["cores"] if device.kind == "cpu" else None)
        if fault is not None:
            raise refuse("timing", fault, self._workload)

    def _require_undisturbed(self, samples: Samples) -> None:
        if samples.too_disturbed or not samples.kept:
            reason = f"{samples.dropped} of {len(samples.blocks)} blocks {samples.why_dropped}: no result"
            raise NoResult(refuse("timing", reason, self._workload).results)
