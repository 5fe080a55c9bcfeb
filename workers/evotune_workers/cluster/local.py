"""This machine without Ray, on which a local search on a CPU confirms its finalists.

Ray's daemons wake about 800 times a second. A baseline with many barriers pays for each wake-up on all of its threads:
SDPA in FP32 at 1x8x512x64 on two cores takes 4.4 to 5.7 ms beside an otherwise idle Ray, and 3.7 to 4.6 ms without. A
candidate with few barriers hardly slows down. So speed-ups are confirmed after Ray has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from evotune_workers.cluster.cluster import Worker
from evotune_workers.cluster.unpack import unpack_kernel
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.folder import KernelPackage
from evotune_workers.measuring.jobs import Job, Result
from evotune_workers.measuring.measurer import Measurer


class LocalMachine:
    """Runs builds and jobs in this process and its child, one after the other; returns futures as a Cluster does."""

    def __init__(self, package: KernelPackage, device: Device) -> None:
        """Load the kernel and start no process yet; raises KernelError when the kernel does not load."""
        self._folder = unpack_kernel(package)
        self._measurer = Measurer(self._folder, device)
        self._thread = ThreadPoolExecutor(1)

    def build(self, job: BuildJob) -> Future[Candidate]:
        """Return a future of a Candidate."""
        return self._thread.submit(build_candidate, self._folder, job)

    def submit(self, worker: Worker, job: Job[Result]) -> Future[Result]:
        """Return a future of the job's result; `worker` is this machine."""
        return self._thread.submit(self._measurer.run, job)

    def results(self, futures: Sequence[Any], seconds: float) -> list[Any] | None:
        """Return the results of all futures, or None when that takes longer."""
        if wait(futures, seconds).not_done:
            return None
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the child, and with it the job under way."""
        self._measurer.close()
        self._thread.shutdown(cancel_futures=True)
