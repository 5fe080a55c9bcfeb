"""Gate launch: the entry function runs, reports success and is not far too slow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from evotune_workers.gates.gate import Gate, GateCriteria, GateResult, Observation

if TYPE_CHECKING:
    from evotune_workers.runtimes.loaded_build import LoadedBuild

# Later gates launch hundreds of times. For a slower configuration that costs more than it can be worth.
SLOWEST_FACTOR = 30.0
# Always allowed, so that page faults of the first call at tiny workloads do not count as slowness.
SLOWEST_FREE_US = 20_000.0
# The second launch is warm. More follow only while all were too slow: on a busy machine a thread may wait for a core.
FEWEST_LAUNCHES = 2
MOST_LAUNCHES = 5


class LaunchGate(Gate):
    """The first launches of a build, with their status and time."""

    name = "launch"
    # Short, since an endless kernel holds its device for this long. The baseline is timed before it begins.
    time_limit_seconds = 3.0

    def limit_seconds(self, baseline_us: float) -> float:
        """Return a limit that allows for launches which are just not too slow."""
        return self.time_limit_seconds + MOST_LAUNCHES * 1e-6 * _slowest_us(baseline_us)

    def measure(self, build: LoadedBuild) -> Iterator[Observation]:
        """Time a few launches and yield the fastest, beside the pinned baseline.

        A launch that seems too slow repeats the baseline, since the machine may be slower than when it was timed.
        """
        reference = build.reference(build.workload, build.distributions[0], build.seeds[0])
        status, times_us, baseline_us = "success", list[float](), reference.baseline_us
        while status == "success" and _is_worth_another(times_us, baseline_us):
            started = time.perf_counter_ns()
            status = build.try_launch(reference.inputs)
            times_us.append((time.perf_counter_ns() - started) / 1e3)
            if times_us[-1] > _slowest_us(baseline_us):
                baseline_us = max(baseline_us, build.time_baseline(reference.inputs))
        yield Observation(
            {"status": status, "kernel_us": min(times_us), "baseline_us": baseline_us}, build.workload.name
        )

    def judge(self, observation: Observation, criteria: GateCriteria) -> GateResult:
        """Require a status of success, and a time within 30x the baseline's plus 20 ms."""
        status = observation.figures["status"]
        if status != "success":
            return self.verdict(observation, f"a launch must succeed, got: {status}")
        taken, baseline = observation.figures["kernel_us"], observation.figures["baseline_us"]
        if not taken <= _slowest_us(baseline):
            return self.verdict(
                observation,
                f"a launch must take at most {SLOWEST_FACTOR:.0f}x the baseline, got {taken / baseline:.0f}x",
            )
        return self.verdict(observation, None)


def _slowest_us(baseline_us: float) -> float:
    return SLOWEST_FREE_US + SLOWEST_FACTOR * baseline_us


def _is_worth_another(times_us: list[float], baseline_us: float) -> bool:
    few, slow = len(times_us) < FEWEST_LAUNCHES, not any(time <= _slowest_us(baseline_us) for time in times_us)
    return few or (slow and len(times_us) < MOST_LAUNCHES)
