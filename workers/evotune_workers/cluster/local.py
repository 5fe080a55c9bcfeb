"""This machine without Ray: where the finalists of a local search on a CPU are confirmed.

Ray's daemons wake about 800 times a second. A baseline with many barriers pays for each wake-up on all of its threads
(SDPA in FP32 at 1x8x512x64 on two cores: 4.4 to 5.7 ms beside an otherwise idle Ray, 3.7 to 4.6 without), a candidate
with few hardly notices: a speed-up that is claimed is measured when Ray has gone.
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
from evotune_workers.measuring.jobs import ConfirmJob, Measurement
from evotune_workers.measuring.measurer import Measurer
from evotune_workers.system.machine_lock import measuring


class Alone:
    """Builds and confirms in this process and its child, one after the other; futures as a Cluster gives them."""

    def __init__(self, package: KernelPackage, device: Device) -> None:
        """Starts nothing yet; raises KernelError when the kernel does not load."""
        self._folder = unpack_kernel(package)
        self._measurer = Measurer(self._folder, device)
        self._thread = ThreadPoolExecutor(1)

    def build(self, job: BuildJob) -> Future[Candidate]:
        """A future of a Candidate."""
        return self._thread.submit(build_candidate, self._folder, job)

    def confirm(self, worker: Worker, job: ConfirmJob) -> Future[tuple[Measurement, ...]]:
        """A future of a tuple of Measurement; `worker` is this machine."""
        return self._thread.submit(self._confirm, job)

    def results(self, futures: Sequence[Any], seconds: float) -> list[Any] | None:
        """What all the futures hold, or None when that takes longer."""
        if wait(futures, seconds).not_done:
            return None
        return [future.result() for future in futures]

    def close(self) -> None:
        """Ends the child, and with it whatever is under way."""
        self._measurer.close()
        self._thread.shutdown(cancel_futures=True)

    def _confirm(self, job: ConfirmJob) -> tuple[Measurement, ...]:
        with measuring():
            return self._measurer.confirm(job)
