"""The result of `evotune certify` as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evotune.display.terminal import percent
from evotune_workers.certify.findings import NoProfile, Profile

if TYPE_CHECKING:
    from evotune.trials.certify import CertifiedTrial


def certification_text(certified: CertifiedTrial) -> str:
    """Return a line for each tool, one for the hardware counters, and the verdict."""
    certification = certified.certification
    verdict = "certified" if certification.passed else "NOT certified"
    return "\n".join(
        [
            *(_line(each.tool, each.passed, each.summary) for each in certification.findings),
            f"counters      {_counters(certified.profile)}",
            f"trial {certified.trial} is {verdict}; see `evotune show {certified.trial}`",
        ]
    )


def _line(tool: str, passed: bool, summary: str) -> str:
    return f"{tool:<14}{'passed' if passed else 'FAILED'}  {summary}"


def _counters(profile: Profile | NoProfile) -> str:
    if isinstance(profile, NoProfile):
        return f"not read: {profile.reason}"
    shown = {
        "tensor pipe": profile.tensor_active_pct,
        "lanes in use": profile.warp_execution_efficiency_pct,
        "DRAM": profile.dram_throughput_pct,
        "L2": profile.l2_throughput_pct,
        "occupancy": profile.achieved_occupancy_pct,
    }
    return ", ".join(f"{name} {'not read' if value is None else percent(value)}" for name, value in shown.items())
