"""The one entry to a device: takes a job, waits for the device, and returns the job's result. Free of Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from evotune_workers.child.sandbox import Sandboxes
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.child_session import Session
from evotune_workers.measuring.compare import compare, compare_with_baselines
from evotune_workers.measuring.confirm import confirm
from evotune_workers.measuring.device_policy import device_policy
from evotune_workers.measuring.diagnose import diagnose
from evotune_workers.measuring.jobs import (
    CompareJob,
    CompareWithBaselinesJob,
    ConfirmJob,
    DiagnoseJob,
    Job,
    MeasureJob,
    Result,
    WarmUpJob,
)
from evotune_workers.measuring.trial import measure, warm_up


class Measurer:
    """Runs jobs on one device, one at a time, through a killable child that does everything on the device."""

    def __init__(self, kernel_folder: Path, device: Device, sandboxes: Sandboxes | None = None) -> None:
        """Use these processes, or start some; raises KernelError when the kernel does not load."""
        self.device = device
        self._session = Session(kernel_folder, device, sandboxes)
        self._policy = device_policy(device)

    def run(self, job: Job[Result]) -> Result:
        """Run a job when the device is free, and return its result.

        The wait is over before any time limit starts. A failure of a configuration is in the result, except that the
        two comparisons raise GateFailed when a candidate cannot be run and NoResult when the machine is too busy.
        Raises ChildBroke when evotune or the kernel's own Python is at fault.
        """
        with self._policy.turn(job) as waited:
            result: Result = self._run(job, waited)
        return result

    def close(self) -> None:
        """End every process of the child."""
        self._session.close()

    def _run(self, job: Job[Any], waited: float) -> Any:
        match job:
            case WarmUpJob():
                return warm_up(self._session, job)
            case MeasureJob():
                return replace(measure(self._session, job), waited=waited)
            case ConfirmJob():
                return confirm(self._session, job)
            case DiagnoseJob():
                return diagnose(self._session, job)
            case CompareJob():
                return compare(self._session, job)
            case CompareWithBaselinesJob():
                return compare_with_baselines(self._session, job)
        raise TypeError(f"a job must be of a type in evotune_workers.measuring.jobs, got {type(job).__name__}")
