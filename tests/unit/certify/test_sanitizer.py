"""Reading compute-sanitizer's logs: nothing counts as passed that the tool has not said in so many words.

Reports and totals have the form of real output from an H200; that of a target that never ran was taken on a machine
without a GPU, where the tool ended with exit code 0. Its other remarks are as its user guide and users quote them.
"""

from __future__ import annotations

import pytest

from evotune_workers.certify import sanitizer
from evotune_workers.certify.findings import SANITIZERS, TOOLS, Certification, Sanitizer, ToolFinding

KERNEL = "attention_fwd"
BANNER = "========= COMPUTE-SANITIZER"
NOTE = sanitizer.launch_note(KERNEL, 4)
NO_ERRORS = "========= ERROR SUMMARY: 0 errors"
NO_HAZARDS = "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)"
CLEAN = {tool: NO_HAZARDS if tool == "racecheck" else NO_ERRORS for tool in SANITIZERS}
WRITES = f"""{BANNER}
========= Invalid __global__ write of size 4 bytes
=========     at attention_fwd+0x50
=========     by thread (0,0,0) in block (0,0,0)
=========Accessto0x7f2df697fffcisoutofbounds
=========andis1,048,573bytesafterthenearestallocationat0x7f2df6840000ofsize262,144bytes
=========Savedhostbacktraceuptodriverentrypointatkernellaunchtime
=========
{NOTE}
========= ERROR SUMMARY: 2752 errors
========= ERROR SUMMARY: 2732 errors were not printed. Use --print-limit option to adjust the number of printed errors
"""
RACE = f"""{BANNER}
========= Error: Race reported between Write access at attention_fwd+0x90
=========     and Read access at attention_fwd+0x100 [508 hazards]
=========
{NOTE}
========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)
"""
MAYBE_RACE = f"""{BANNER}
========= Warning: Race reported between Write access at attention_fwd+0x90
=========     and Read access at attention_fwd+0x100 [4 hazards]
=========
{NOTE}
========= RACECHECK SUMMARY: 3 hazards displayed (0 errors, 3 warnings)
"""
NEVER_RAN = f"""{BANNER}
========= Error: process didn't terminate successfully
=========     The application may have hit an error when dereferencing Unified Memory from the host. Please rerun the
========= Target application terminated before first instrumented API call
"""


def log(*lines: str) -> str:
    return "\n".join((BANNER, *lines)) + "\n"


@pytest.mark.parametrize("tool", SANITIZERS)
def test_a_clean_log_of_a_target_that_launched_the_kernel_passes(tool: Sanitizer) -> None:
    clean = log("target's own words", NOTE, CLEAN[tool])
    assert sanitizer.read(tool, clean, 0, 1.5) == ToolFinding(tool, True, 0, CLEAN[tool][10:], clean, 1.5)


@pytest.mark.parametrize("tool", SANITIZERS)
@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((NOTE,), "no summary; the tool did not come to an end"),
        (("CLEAN",), "the target did not say that it had launched the kernel"),
        ((sanitizer.launch_note(KERNEL, 0), "CLEAN"), "the target did not say that it had launched the kernel"),
        ((NOTE, "========= Target application returned an error", "CLEAN"), "Target application returned an error"),
        (
            (
                "========= Internal Sanitizer Error: The Sanitizer encountered an error while launching attention_fwd "
                "and didn't track the launch. Errors might go undetected.",
                NOTE,
                "CLEAN",
            ),
            "didn't track the launch",
        ),
        (
            ("========= Error: Confidential compute mode detected. compute-sanitizer will be disabled.", NOTE, "CLEAN"),
            "compute-sanitizer will be disabled",
        ),
        (
            ("========= Warning: Detected overflow of tracked cuda::barrier structures.", NOTE, "CLEAN"),
            "Detected overflow of tracked cuda::barrier structures",
        ),
        (("========= ERROR SUMMARY: unknown", NOTE), "ERROR SUMMARY: unknown"),
        ((NOTE, "ERROR SUMMARY: 0 errors", "RACECHECK SUMMARY: 0 hazards displayed"), "no summary"),
    ],
)
def test_a_tool_that_says_anything_else_or_nothing_does_not_pass(
    tool: Sanitizer, lines: tuple[str, ...], told: str
) -> None:
    text = log(*(CLEAN[tool] if line == "CLEAN" else line for line in lines))
    finding = sanitizer.read(tool, text, 0)
    assert not finding.passed and finding.findings == 0 and told in finding.summary


@pytest.mark.parametrize("tool", SANITIZERS)
def test_the_total_of_another_tool_does_not_count(tool: Sanitizer) -> None:
    other = NO_ERRORS if tool == "racecheck" else NO_HAZARDS
    assert not sanitizer.read(tool, log(NOTE, other), 0).passed


@pytest.mark.parametrize("returncode", [1, 86, -11, None])
def test_a_clean_log_beside_a_failing_or_killed_target_does_not_pass(returncode: int | None) -> None:
    finding = sanitizer.read("memcheck", log(NOTE, NO_ERRORS), returncode)
    ended = "killed for running out of time" if returncode is None else f"ended with exit code {returncode}"
    assert not finding.passed and finding.summary.endswith(ended)


@pytest.mark.parametrize("returncode", [0, 86])
@pytest.mark.parametrize(
    ("tool", "text", "findings", "summary"),
    [
        ("memcheck", WRITES, 2752, "ERROR SUMMARY: 2752 errors; Invalid __global__ write of size 4 bytes"),
        (
            "racecheck",
            RACE,
            1,
            "RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings); "
            "Error: Race reported between Write access at attention_fwd+0x90",
        ),
        (
            "racecheck",
            MAYBE_RACE,
            3,
            "RACECHECK SUMMARY: 3 hazards displayed (0 errors, 3 warnings); "
            "Warning: Race reported between Write access at attention_fwd+0x90",
        ),
    ],
)
def test_findings_are_counted_and_the_first_is_told(
    tool: Sanitizer, text: str, findings: int, summary: str, returncode: int
) -> None:
    finding = sanitizer.read(tool, text, returncode)
    assert (finding.passed, finding.findings, finding.summary, finding.log) == (False, findings, summary, text)


def test_the_worst_of_several_totals_counts() -> None:
    finding = sanitizer.read("synccheck", log(NOTE, "========= ERROR SUMMARY: 3 errors", NO_ERRORS), 0)
    assert (finding.passed, finding.findings) == (False, 3)


@pytest.mark.parametrize("tool", SANITIZERS)
def test_a_target_that_never_ran_does_not_pass_even_with_exit_code_0(tool: Sanitizer) -> None:
    finding = sanitizer.read(tool, NEVER_RAN, 0)
    assert not finding.passed and finding.summary == "no summary; Error: process didn't terminate successfully"


def test_a_crash_with_a_total_of_no_errors_does_not_pass() -> None:
    crashed = log(
        "========= Error: process didn't terminate successfully",
        "========= Target application returned an error",
        NO_ERRORS,
    )
    assert not sanitizer.read("memcheck", crashed, 11).passed


def test_the_command_filters_by_kernel_limits_what_is_printed_and_ends_with_the_target() -> None:
    words = sanitizer.command("racecheck", ("python", "-m", "target", "--x"), KERNEL, "/opt/compute-sanitizer")
    assert words[0] == "/opt/compute-sanitizer" and words[-4:] == ("python", "-m", "target", "--x")
    options = dict(zip(words[1:-4:2], words[2:-4:2], strict=True))
    assert options == {
        "--tool": "racecheck",
        "--error-exitcode": "86",
        "--print-limit": "20",
        "--kernel-name": "kernel_substring=attention_fwd",
        "--show-backtrace": "device",
    }
    assert "--report-api-errors" in sanitizer.command("memcheck", ("true",), KERNEL)


def test_an_unknown_tool_is_refused() -> None:
    for tool in ("memchek", "resources"):
        with pytest.raises(ValueError, match=f"must be one of memcheck, racecheck, synccheck, initcheck, got {tool}"):
            sanitizer.read(tool, "", 0)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="must be one of"):
            sanitizer.command(tool, (), KERNEL)  # type: ignore[arg-type]


def test_a_certification_passes_with_every_tool_passed_and_equal_runs() -> None:
    findings = tuple(ToolFinding(tool, True, 0, "", "", 1.0) for tool in TOOLS)
    assert Certification(100, 0, findings).passed
    for lacking in (
        Certification(100, 1, findings),
        Certification(0, 0, findings),
        Certification(100, 0, findings[1:]),
        Certification(100, 0, (*findings[1:], ToolFinding("memcheck", False, 0, "", "", 1.0))),
        Certification(100, 0, ()),
    ):
        assert not lacking.passed
