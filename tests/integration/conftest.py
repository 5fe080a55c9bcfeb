"""What integration tests share: a cache of their own, and the small kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evotune.search.dispatcher import ATTEMPTS
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.device import cpu_device
from evotune_workers.measuring.jobs import MeasureJob, Measurement
from evotune_workers.measuring.measurer import Measurer

SAXPY = Path(__file__).parent.parent / "kernels" / "saxpy"
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


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that an earlier run built is reused, and nothing is left behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOTUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class Bench:
    """Builds and measures configurations of the small kernel."""

    def __init__(self) -> None:
        self.measurer = Measurer(SAXPY, cpu_device())

    def build(self, **configuration: int | str) -> Candidate:
        full = {"unroll": 8, "threads": 1, "fault": "none", **configuration}
        return build_candidate(SAXPY, BuildJob(0, full, "cpu", "cpu", ("small",)))

    def measure(self, candidate: Candidate) -> Measurement:
        """As a search does: a measurement that a busy machine spoilt is made again."""
        for _ in range(ATTEMPTS):
            measurement = self.measurer.run(MeasureJob(candidate, "cpu", (1, 2, 3), {}))
            if not measurement.busy:
                break
        return measurement


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """One measurer for a module, as a search has one for all its trials."""
    made = Bench()
    yield made
    made.measurer.close()
