"""Build and measure configurations of the small kernel."""

from __future__ import annotations

from evotune.search.dispatch.dispatcher import ATTEMPTS
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.device import cpu_device
from evotune_workers.measuring.jobs import MeasureJob, Measurement
from evotune_workers.measuring.measurer import Measurer
from tests.support.paths import SAXPY

# A space of saxpy in which every configuration is a binary of its own.
SIXTEEN_BUILDS = """
kernel: saxpy
variant: cpu
parameters:
  unroll: [1, 2, 4, 8]
  mark_high: [0, 1, 2, 3]
  mark_low: [0]
  threads: [1]
  fault: {values: [none], kind: categorical}
"""


def build(**configuration: int | str) -> Candidate:
    """Build a configuration of the small kernel, for its small workload."""
    full = {"unroll": 8, "threads": 1, "fault": "none", **configuration}
    return build_candidate(SAXPY, BuildJob(0, full, "cpu", "cpu", ("small",)))


class Bench:
    """Build and measure configurations of the small kernel in this process."""

    def __init__(self) -> None:
        self.measurer = Measurer(SAXPY, cpu_device())

    def build(self, **configuration: int | str) -> Candidate:
        return build(**configuration)

    def measure(self, candidate: Candidate) -> Measurement:
        """Measure as a search does: again, when a busy machine spoilt the measurement."""
        for _ in range(ATTEMPTS):
            measurement = self.measurer.run(MeasureJob(candidate, "cpu", (1, 2, 3), {}))
            if not measurement.busy:
                break
        return measurement
