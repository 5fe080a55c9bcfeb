"""compute-sanitizer: its command, and the verdict in its log.

Options and the form of the log: NVIDIA, Compute Sanitizer user guide, "Command Line Options" and "Tool Examples". The
options are those of 2025.3.1 (CUDA 13.0) and 2026.4.0 (CUDA 13.5) alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evotune_workers.certify.findings import SANITIZERS, Sanitizer, ToolFinding

PREFIX = "========="
# The tool's exit code when it has findings and the target itself succeeds; Python and the shell do not use it.
FINDINGS_EXIT_CODE = 86
# Number of reports that are printed; all are counted.
PRINTED_REPORTS = 20
TOTALS = {
    "memcheck": re.compile(r"ERROR SUMMARY: (\d+) errors?"),
    "racecheck": re.compile(r"RACECHECK SUMMARY: (\d+) hazards? displayed \(\d+ errors?, \d+ warnings?\)"),
    "synccheck": re.compile(r"ERROR SUMMARY: (\d+) errors?"),
    "initcheck": re.compile(r"ERROR SUMMARY: (\d+) errors?"),
}
# The only lines of a tool that has checked everything and found nothing.
CLEAN = re.compile(
    r"|COMPUTE-SANITIZER|ERROR SUMMARY: 0 errors|LEAK SUMMARY: 0 bytes leaked in 0 allocations"
    r"|RACECHECK SUMMARY: 0 hazards displayed \(0 errors, 0 warnings\)"
)
LAUNCHED = re.compile(r"^evotune launched \S+ [1-9]\d* times$", re.MULTILINE)


def command(
    tool: Sanitizer, target_command: Sequence[str], kernel_name: str, program: str = "compute-sanitizer"
) -> tuple[str, ...]:
    """Return the command that runs a target and checks every kernel whose name contains `kernel_name`.

    Before 2026.4, initcheck does not see writes of kernels outside the filter: the target must copy its inputs from the
    host. Raises ValueError for an unknown tool.
    """
    _require_known(tool)
    return (
        *(program, "--tool", tool, "--error-exitcode", str(FINDINGS_EXIT_CODE), "--print-limit", str(PRINTED_REPORTS)),
        *("--kernel-name", f"kernel_substring={kernel_name}", "--show-backtrace", "device"),
        # PyTorch makes calls that may fail; the target checks the status of those that matter.
        *(("--report-api-errors", "no") if tool == "memcheck" else ()),
        *target_command,
    )


def launch_note(kernel_name: str, launches: int) -> str:
    """Return the line that a target prints after its launches, by which `read` knows that there were any."""
    return f"evotune launched {kernel_name} {launches} times"


def read(tool: Sanitizer, log: str, returncode: int | None, seconds: float = 0.0) -> ToolFinding:
    """Return the verdict of a log, of tool and target together, and an exit code (None for a tool that was killed).

    It passes only with a total of 0 findings, no other remark of the tool, exit code 0 and a target that launched the
    kernel. The total alone is not enough: a tool that could not attach or track a launch also reports 0. Raises
    ValueError for an unknown tool.
    """
    _require_known(tool)
    said = [line.removeprefix(PREFIX).strip() for line in log.splitlines() if line.startswith(PREFIX)]
    totals = [match for match in map(TOTALS[tool].fullmatch, said) if match]
    findings = max((int(total[1]) for total in totals), default=0)
    summary = totals[-1][0] if totals else "no summary"
    objection = _objection(log, said, bool(totals), returncode)
    passed = findings == 0 and objection is None
    return ToolFinding(tool, passed, findings, f"{summary}; {objection}" if objection else summary, log, seconds)


def _objection(log: str, said: Sequence[str], total: bool, returncode: int | None) -> str | None:
    """Return the reason why a log does not show a complete check without findings, or None if it does."""
    remark = next((line for line in said if not CLEAN.fullmatch(line)), None)
    if returncode is None:
        return "killed for running out of time"
    if remark is not None:
        return remark
    if not total:
        return "the tool did not come to an end"
    if returncode != 0:
        return f"the target ended with exit code {returncode}"
    return None if LAUNCHED.search(log) else "the target did not say that it had launched the kernel"


def _require_known(tool: str) -> None:
    if tool not in SANITIZERS:
        raise ValueError(f"a sanitizer must be one of {', '.join(SANITIZERS)}, got {tool}")
