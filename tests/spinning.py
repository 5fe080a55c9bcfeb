"""What a kernel that takes a known time is timed at."""

from __future__ import annotations

import contextlib
from pathlib import Path

from evotune_workers.builder import BuildJob, build_candidate
from evotune_workers.device import Device
from evotune_workers.session import Session
from evotune_workers.timekeeper import NoResult, Timekeeper

SPIN = Path(__file__).parent / "kernels" / "spin"
SEEDS = (1, 2)
ATTEMPTS = 3


def timed_us(session: Session, device: Device, variant: str, nanoseconds: int) -> float:
    """The median of a call; again where the machine was too busy to tell."""
    job = BuildJob(0, {"nanoseconds": nanoseconds}, variant, device.target, ("short",))
    candidate = build_candidate(SPIN, job)
    [built] = candidate.builds
    with session.loaded({"candidate": (candidate, built)}, variant, SEEDS):
        keeper = Timekeeper(session, {"candidate": built})
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(NoResult):
                return keeper.cold_and_warm(None)["candidate"][0].median_us
        return keeper.cold_and_warm(None)["candidate"][0].median_us
