"""The text of `evotune certify`."""

from __future__ import annotations

from evotune.display.certification import certification_text
from evotune.trials.certify import CertifiedTrial
from evotune_workers.certify.findings import TOOLS, Certification, NoProfile, Profile, ToolFinding


def finding(tool: str, passed: bool = True) -> ToolFinding:
    """Return the finding of one of TOOLS."""
    [name] = [known for known in TOOLS if known == tool]
    return ToolFinding(name, passed, 0 if passed else 2, "0 errors" if passed else "2 errors", "", 1.0)


def test_every_tool_and_counter_has_its_verdict() -> None:
    certification = Certification(100, 0, tuple(finding(tool) for tool in TOOLS))
    profile = Profile(5.4, 41.25, None, 12.0, 33.0, 31.2, 128, {})
    assert certification_text(CertifiedTrial(5, certification, profile)).splitlines() == [
        *(f"{tool:<14}passed  0 errors" for tool in TOOLS),
        "counters      tensor pipe 41.2%, lanes in use not read, DRAM 12.0%, L2 33.0%, occupancy 31.2%",
        "trial 5 is certified; see `evotune show 5`",
    ]


def test_a_failed_tool_and_counters_that_were_not_read_are_told() -> None:
    findings = tuple(finding(tool, passed=tool != "racecheck") for tool in TOOLS)
    lines = certification_text(CertifiedTrial(5, Certification(100, 0, findings), NoProfile("no permission")))
    assert "racecheck     FAILED  2 errors\n" in lines
    assert lines.endswith("counters      not read: no permission\ntrial 5 is NOT certified; see `evotune show 5`")
