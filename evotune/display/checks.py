"""The checks of `evotune doctor` as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from evotune.display.table import Table
from evotune.doctor.checks import Check, cpu_target_works, gpu_build_works, gpu_target_works


def print_checks(checks: Sequence[Check], target: Console) -> None:
    """Print a table of the checks, the remedy of each lack, and the targets that can work."""
    result = Table("check", "present", "needed for", "purpose", "found")
    for check in checks:
        result.add_row(check.name, "yes" if check.present else "no", check.needed_for, check.purpose, check.found)
    target.print(result)
    for check in checks:
        if not check.present:
            target.print(f"{check.name}: {check.remedy}")
    target.print(
        f"CPU target: {_verdict(cpu_target_works(checks))}. GPU targets: {_verdict(gpu_target_works(checks))}; "
        f"compiling for them with --build-only {_verdict(gpu_build_works(checks))}."
    )


def _verdict(works: bool) -> str:
    return "can work" if works else "cannot work yet"
