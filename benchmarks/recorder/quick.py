"""One configuration checked and timed in a fraction of a trial's time: enough to record it, not to publish it.

Of the gates only those that tell a broken build: it is the one asked for, it launches, and its errors on one seed of
every distribution are within the limits. Timing is the product's own, stopped early where the best so far is out of
reach; outputs are checked there, too.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from evotune_workers.compilers.candidate import Candidate
from evotune_workers.gates.running import RUNNING_GATES
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.child_session import CANDIDATE, ChildLost, GateFailed, Session
from evotune_workers.measuring.jobs import Measurement
from evotune_workers.measuring.timing_session import NoResult, Timekeeper
from evotune_workers.timing.protocol import Timing

GATES = tuple(gate for gate in RUNNING_GATES if gate.name in ("identity", "launch", "numerics"))
SEEDS = (1,)
# Refused for an error a little too large: nothing in the child is damaged, and a fresh one would cost seconds.
HARMLESS = "numerics"


class QuickMeasurer:
    """Owns one device, through a killable child that does everything on it."""

    def __init__(self, kernel_folder: Path, device: Device, variant: str) -> None:
        self._session, self._variant = Session(kernel_folder, device), variant

    def measure(self, candidate: Candidate, incumbent: float | None) -> Measurement:
        """At its first workload; `incumbent` is the low end of the best speed-up so far. Tried again if the child dies.

        Raises ChildBroke when the kernel's Python raises.
        """
        started = time.perf_counter()
        try:
            measurement = self._attempt(candidate, incumbent)
        except ChildLost:
            self._session.renew()
            measurement = self._last_attempt(candidate, incumbent)
        return replace(measurement, seconds=time.perf_counter() - started)

    def close(self) -> None:
        """Ends every process of it."""
        self._session.close()

    def _last_attempt(self, candidate: Candidate, incumbent: float | None) -> Measurement:
        try:
            return self._attempt(candidate, incumbent)
        except ChildLost as lost:
            self._session.renew()
            return _failed(candidate, lost)

    def _attempt(self, candidate: Candidate, incumbent: float | None) -> Measurement:
        """Raises ChildLost; every other failure is in the measurement."""
        try:
            timings = self._timings(candidate, incumbent)
        except ChildLost:
            raise
        except NoResult as busy:
            return replace(_failed(candidate, busy), busy=True)
        except GateFailed as failure:
            if failure.verdict.gate != HARMLESS:
                self._session.renew()
            return _failed(candidate, failure)
        return Measurement(candidate.number, (), timings, None, None, seconds=0.0)

    def _timings(self, candidate: Candidate, incumbent: float | None) -> tuple[Timing, ...]:
        built = candidate.builds[0]
        with self._session.loaded({CANDIDATE: (candidate, built)}, self._variant, SEEDS):
            for gate in GATES:
                self._session.run_gate(gate, CANDIDATE, built)
            return Timekeeper(self._session, {CANDIDATE: built}).cold_and_warm(incumbent)[CANDIDATE]


def _failed(candidate: Candidate, failure: GateFailed) -> Measurement:
    return Measurement(candidate.number, (), (), failure.verdict.gate, failure.verdict.reason, seconds=0.0)
