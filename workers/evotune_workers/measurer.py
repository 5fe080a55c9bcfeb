"""Evaluating one configuration on one device: gates in order, then timing. The measuring actor's body, free of Ray."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from .bench import BenchSpec
from .compilers.build import macro_text
from .device import Device
from .gates import RUNNING_GATES
from .gates.errors import judge_errors
from .gates.gate import BenchFacts, Finding, Gate, GateResult
from .jobs import Candidate, ConfirmJob, MeasureJob, Measurement, WorkloadBuild
from .kernel import Kernel
from .kernel_folder import load_kernel, named_workload
from .messages import Load, OpenStopwatch, Request, RunBlocks, RunGate, Start
from .sandbox import BuildRefused, ChildDied, ChildTimeout, Sandbox
from .statistics import Interval
from .stopwatch import Block, StopwatchFacts
from .timing import WARM_BLOCKS, Samples, Timing, as_conditions, cpu_environment, race, summarise

LOAD_LIMIT_SECONDS = 60.0
TIMING_LIMIT_SECONDS = 120.0
# After each attempt that the machine's other work spoilt.
PAUSES_SECONDS = (1.0, 4.0, 0.0)
# The gates that a finalist passes again, on new seeds.
CONFIRM_GATES = ("identity", "launch", "numerics")
CANDIDATE = "candidate"
MODES: tuple[Literal["cold", "warm"], ...] = ("cold", "warm")  # cold ranks, warm is reported beside it
DIED = "the process running it died"


class GateFailed(Exception):
    """Carries the verdict that ends a trial."""

    def __init__(self, result: GateResult) -> None:
        """The failing result; it is already among those recorded."""
        super().__init__(result.reason)
        self.result = result


class Measurer:
    """Owns one device, through a killable child that does everything on it."""

    def __init__(self, kernel_folder: Path, device: Device) -> None:
        """Starts nothing yet."""
        self._kernel: Kernel = load_kernel(kernel_folder)
        self._device = device
        cores = device.limits["cores"]
        self._sandbox = Sandbox(Start(kernel_folder, device.target), cpu_environment(cores))

    def measure(self, job: MeasureJob) -> Measurement:
        """Every gate and the timing for every workload; the first failure ends it.

        A configuration whose child died is tried once more in a fresh child before it is marked failed: the fault may
        have been an earlier configuration's.
        """
        started = time.perf_counter()
        measurement = self._attempt(job)
        if measurement.reason is not None and measurement.reason.startswith(DIED):
            measurement = self._attempt(job)
        return replace(measurement, seconds=time.perf_counter() - started)

    def confirm(self, job: ConfirmJob) -> tuple[Measurement, ...]:
        """Finalists again: fresh process, new seeds, full timing, interleaved with each other and the baselines."""
        self._sandbox.close()
        checked = {candidate.number: self._check_again(candidate, job) for candidate in job.candidates}
        honest = [candidate for candidate in job.candidates if checked[candidate.number].failed_gate is None]
        timed = self._time_finalists(honest, checked, job) if honest else {}
        return tuple(timed.get(number, measurement) for number, measurement in checked.items())

    def compare(self, first: Candidate, second: Candidate, variant: str, seeds: tuple[int, ...]) -> Interval:
        """Time of `second` / time of `first`, interleaved in one process at their first workload, cold: over 1 means
        that `first` is faster. Raises GateFailed when one of them cannot be run.
        """
        sides = {f"{CANDIDATE} {place}": (each, each.builds[0]) for place, each in enumerate((first, second))}
        with self._loaded(sides, variant, seeds):
            self._ask("timing", OpenStopwatch("cold", self._device.cache_bytes), TIMING_LIMIT_SECONDS)
            samples, _ = self._quiet_race((f"{CANDIDATE} 0",), (f"{CANDIDATE} 1",), None)
        self._judge_quiet(samples, first.builds[0].workload)
        return samples.speedup(f"{CANDIDATE} 0", f"{CANDIDATE} 1")

    def close(self) -> None:
        """Ends the child."""
        self._sandbox.close()

    def _attempt(self, job: MeasureJob) -> Measurement:
        results: list[GateResult] = []
        timings: list[Timing] = []
        try:
            for built in job.candidate.builds:
                with self._loaded({CANDIDATE: (job.candidate, built)}, job.variant, job.seeds):
                    facts = self._facts(built)
                    for gate in RUNNING_GATES:
                        self._run_gate(gate, CANDIDATE, facts, results)
                    timings += self._time_one(built, job.incumbents.get(built.workload), facts, results)
        except GateFailed as failure:
            # Whatever a refused build did to the child's memory must not meet the next one.
            self._sandbox.close()
            return Measurement(
                job.candidate.number, tuple(results), (), failure.result.gate, failure.result.reason, seconds=0.0
            )
        return Measurement(job.candidate.number, tuple(results), tuple(timings), None, None, seconds=0.0)

    def _check_again(self, candidate: Candidate, job: ConfirmJob) -> Measurement:
        results: list[GateResult] = []
        try:
            for built in candidate.builds:
                with self._loaded({CANDIDATE: (candidate, built)}, job.variant, job.seeds):
                    for gate in (gate for gate in RUNNING_GATES if gate.name in CONFIRM_GATES):
                        self._run_gate(gate, CANDIDATE, self._facts(built), results)
        except GateFailed as failure:
            self._sandbox.close()
            reason = f"{failure.result.gate}: {failure.result.reason}"
            return Measurement(candidate.number, tuple(results), (), "confirm", reason, seconds=0.0)
        return Measurement(candidate.number, tuple(results), (), None, None, seconds=0.0)

    def _time_finalists(
        self, candidates: list[Candidate], checked: dict[int, Measurement], job: ConfirmJob
    ) -> dict[int, Measurement]:
        """All in one process; should that fail, each alone, so that only the one at fault is marked failed."""
        try:
            return self._time_together(candidates, checked, job)
        except GateFailed as failure:
            self._sandbox.close()
            if len(candidates) > 1:
                alone = [self._time_finalists([candidate], checked, job) for candidate in candidates]
                return {number: measurement for each in alone for number, measurement in each.items()}
            number = candidates[0].number
            results = (*checked[number].gates, failure.result)
            return {number: Measurement(number, results, (), "confirm", failure.result.reason, seconds=0.0)}

    def _time_together(
        self, candidates: list[Candidate], checked: dict[int, Measurement], job: ConfirmJob
    ) -> dict[int, Measurement]:
        timings: dict[int, tuple[Timing, ...]] = {candidate.number: () for candidate in candidates}
        for place, built in enumerate(candidates[0].builds):
            sides = {f"{CANDIDATE} {c.number}": (c, c.builds[place]) for c in candidates}
            with self._loaded(sides, job.variant, job.seeds):
                for mode in MODES:
                    watch, samples, _ = self._race(tuple(sides), mode, incumbent=None)
                    for side, (candidate, own) in sides.items():
                        self._judge_timed_outputs(side, watch, samples, self._facts(own), built.workload)
                        timing = self._summarise(samples, side, watch, built.workload, mode, censored=False)
                        timings[candidate.number] += (timing,)
        return {number: replace(checked[number], timings=timed) for number, timed in timings.items()}

    @contextlib.contextmanager
    def _loaded(
        self, sides: dict[str, tuple[Candidate, WorkloadBuild]], variant: str, seeds: tuple[int, ...]
    ) -> Iterator[None]:
        """The builds as files, loaded in the child; the files are gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="evotune-measure-") as folder:
            specs = {}
            for place, (side, (candidate, built)) in enumerate(sides.items()):
                assert built.build.binary is not None
                library = Path(folder) / f"{place}.so"
                library.write_bytes(built.build.binary)
                specs[side] = BenchSpec(candidate.configuration, built.workload, variant, library, seeds)
            self._ask("launch", Load(specs), LOAD_LIMIT_SECONDS)
            yield

    def _facts(self, built: WorkloadBuild) -> BenchFacts:
        cost = self._kernel.cost(named_workload(self._kernel, built.workload))
        limits = self._kernel.numerics
        return BenchFacts(
            macros={name: macro_text(value) for name, value in built.macros.items()},
            max_factor=limits.max_factor,
            rms_factor=limits.rms_factor,
            floor_us=cost.flops / self._device.peak_flops * 1e6,
        )

    def _run_gate(self, gate: Gate, side: str, facts: BenchFacts, results: list[GateResult]) -> None:
        started = time.perf_counter()
        try:
            findings = self._ask(gate.name, RunGate(gate.name, side), gate.time_limit_seconds)
            if not findings:
                raise GateFailed(GateResult(gate.name, False, "the gate returned no figures"))
            judged = [gate.judge(finding, facts) for finding in findings]
        except GateFailed as failure:
            results.append(failure.result)
            raise
        seconds = (time.perf_counter() - started) / len(judged)
        results += [replace(result, seconds=seconds) for result in judged]
        for result in judged:
            if not result.passed:
                raise GateFailed(result)

    def _time_one(
        self, built: WorkloadBuild, incumbent: float | None, facts: BenchFacts, results: list[GateResult]
    ) -> list[Timing]:
        """The timing gate: cold, which ranks, then warm beside it unless the trial was censored."""
        started = time.perf_counter()
        timings: list[Timing] = []
        try:
            for mode in MODES:
                watch, samples, censored = self._race((CANDIDATE,), mode, incumbent)
                self._judge_timed_outputs(CANDIDATE, watch, samples, facts, built.workload)
                timings.append(self._summarise(samples, CANDIDATE, watch, built.workload, mode, censored))
                if censored:
                    break
        except GateFailed as failure:
            results.append(failure.result)
            raise
        figures = {"blocks": sum(timing.blocks for timing in timings), "censored": timings[0].censored}
        seconds = time.perf_counter() - started
        results.append(GateResult("timing", True, workload=built.workload, seconds=seconds, figures=figures))
        return timings

    def _race(
        self, candidates: tuple[str, ...], mode: Literal["cold", "warm"], incumbent: float | None
    ) -> tuple[StopwatchFacts, Samples, bool]:
        request = OpenStopwatch(mode, self._device.cache_bytes)
        watch: StopwatchFacts = self._ask("timing", request, TIMING_LIMIT_SECONDS)
        baselines = tuple(side for side in watch.sides if side not in candidates)

        if mode == "warm":
            return watch, Samples((), 0, frozenset()).joined(self._run_blocks(WARM_BLOCKS, watch.sides)), False
        return watch, *self._quiet_race(candidates, baselines, incumbent)

    def _quiet_race(
        self, candidates: tuple[str, ...], baselines: tuple[str, ...], incumbent: float | None
    ) -> tuple[Samples, bool]:
        """Again, after a pause, when other work on the machine spoilt it."""
        for pause in PAUSES_SECONDS:
            samples, censored = race(candidates, baselines, self._run_blocks, incumbent)
            if not samples.too_disturbed:
                break
            time.sleep(pause)
        return samples, censored

    def _run_blocks(self, count: int, sides: tuple[str, ...]) -> tuple[Block, ...]:
        blocks: tuple[Block, ...] = self._ask("timing", RunBlocks(count, sides), TIMING_LIMIT_SECONDS)
        return blocks

    def _judge_timed_outputs(
        self, side: str, watch: StopwatchFacts, samples: Samples, facts: BenchFacts, workload: str
    ) -> None:
        """What was timed must be right: the outputs against float64, and every timed one bit-equal to those."""
        for errors in watch.errors[side]:
            result = judge_errors("timing", Finding({}, workload, errors=errors), facts)
            if not result.passed:
                raise GateFailed(result)
        if side in samples.wrong:
            raise GateFailed(
                GateResult("timing", False, "a timed output has other bits than the one checked", workload)
            )
        self._judge_quiet(samples, workload)

    def _judge_quiet(self, samples: Samples, workload: str) -> None:
        if samples.too_disturbed or not samples.kept:
            measured = samples.dropped + len(samples.kept)
            reason = f"{samples.dropped} of {measured} blocks were disturbed by other work on the machine"
            raise GateFailed(GateResult("timing", False, reason, workload))

    def _summarise(
        self,
        samples: Samples,
        side: str,
        watch: StopwatchFacts,
        workload: str,
        mode: Literal["cold", "warm"],
        censored: bool,
    ) -> Timing:
        baselines = [name for name in watch.sides if not name.startswith(CANDIDATE)]
        conditions = as_conditions(
            watch,
            **self._sandbox.conditions,
            **cpu_environment(self._device.limits["cores"]),
            disturbed=max(block.disturbed for block in samples.kept),
        )
        return summarise(samples, side, baselines, workload, mode, censored, conditions)

    def _ask(self, gate: str, request: Request, time_limit: float) -> Any:
        """Asks the child; its death, silence or refusal is the failure of the gate at hand."""
        try:
            return self._sandbox.ask(request, time_limit)
        except ChildDied as died:
            raise GateFailed(GateResult(gate, False, f"{DIED}: {died}")) from died
        except ChildTimeout as timeout:
            raise GateFailed(GateResult(gate, False, f"the process hung and was killed: {timeout}")) from timeout
        except BuildRefused as refused:
            raise GateFailed(GateResult(gate, False, str(refused))) from refused
