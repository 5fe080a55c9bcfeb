"""The parent's side of the killable child: it asks with a time limit, and kills the whole process group.

A crash and an overrun raise exceptions of their own. Either ends the child, and the next request gets a fresh one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evotune_workers.child.messages import Request, Start
from evotune_workers.child.process import (
    BuildRefused,
    ChildBroke,
    ChildDied,
    ChildProcess,
    ChildTimeout,
    ServerDied,
)
from evotune_workers.kernel.device import Device
from evotune_workers.runtimes.openmp import cpu_environment

__all__ = ["BuildRefused", "ChildBroke", "ChildDied", "ChildTimeout", "Sandbox", "sandbox_for"]


class Sandbox:
    """A child process that runs untrusted builds, replaced by a fresh one when it has ended.

    With a `spare`, the first child starts before the first request, and the next one while the current one serves, so
    that a replacement costs no time.
    """

    def __init__(self, start: Start, environment: Mapping[str, str], *, spare: bool = False) -> None:
        """Return at once; without a spare, the first request starts the child."""
        self._start, self._with_spare = start, spare
        self.environment = dict(environment)
        self._child: ChildProcess | None = None
        self._spare = ChildProcess(start, environment) if spare else None
        self._closed = False
        self.conditions: dict[str, Any] = {}

    def ask(self, request: Request, time_limit: float) -> Any:
        """Return the answer to a request, from the running child or a fresh one.

        Raises ChildDied, ChildTimeout, BuildRefused, ChildBroke. The limit does not include starting the child.
        """
        if self._child is None or not self._child.serves:
            self._replace()
        assert self._child is not None
        try:
            return self._child.exchange(request, time_limit)
        except (ChildDied, ChildTimeout):
            self._end_child()
            raise

    def renew(self) -> None:
        """End the child: the next request gets a fresh one."""
        self._end_child()

    def close(self) -> None:
        """End the child and the spare; a thread that asks meanwhile gets ChildBroke, not a fresh child."""
        self._closed = True
        self._end_child()
        self._end_spare()

    def _end_spare(self) -> None:
        if self._spare is not None:
            self._spare.kill()
            self._spare = None

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _replace(self) -> None:
        if self._closed:
            raise ChildBroke("the measuring process was closed")
        self._end_child()
        if not self._use_spare():
            self._start_child()
        if self._with_spare:
            self._spare = ChildProcess(self._start, self.environment)

    def _start_child(self, *, again: bool = False) -> None:
        self._child = ChildProcess(self._start, self.environment)
        try:
            self.conditions = self._child.wait_until_ready()
        except (ChildDied, ChildTimeout) as error:
            self._end_child()
            if isinstance(error, ServerDied) and not again:
                return self._start_child(again=True)
            # No build has been loaded yet, so no configuration is at fault.
            raise ChildBroke(f"the measuring process must start: {error}") from error

    def _use_spare(self) -> bool:
        """Serve with the spare; return False when there is none that is ready."""
        if self._spare is None:
            return False
        try:
            self.conditions = self._spare.wait_until_ready()
        except (ChildDied, ChildTimeout):
            self._end_spare()
            return False
        if not self._spare.serves:  # it ended after it had been ready
            self._end_spare()
            return False
        self._child, self._spare = self._spare, None
        return True


def sandbox_for(kernel_folder: Path, device: Device) -> Sandbox:
    """Return a sandbox for a kernel on a device; a GPU's first child starts at once."""
    environment = cpu_environment(device.limits["cores"]) if device.kind == "cpu" else {}
    # On a CPU a spare would take cores from the build that is timed.
    return Sandbox(Start(kernel_folder, device.target), environment, spare=device.kind != "cpu")
