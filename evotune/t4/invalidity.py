"""What T4 says of a result that is not valid, in evotune's words and back."""

from __future__ import annotations

from evotune_workers.system import time_limits

CORRECT = "correct"
CONSTRAINTS, COMPILE, RUNTIME, CORRECTNESS, TIMEOUT = "constraints", "compile", "runtime", "correctness", "timeout"
# The gate under which an imported result of each kind is recorded; a time limit may belong to a build or a launch.
GATES = {CONSTRAINTS: "legal", COMPILE: "build", RUNTIME: "launch", CORRECTNESS: "numerics", TIMEOUT: "launch"}
_OF_GATE = {"legal": CONSTRAINTS, "build": COMPILE, "resources": COMPILE, "launch": RUNTIME, "timing": RUNTIME}


def invalidity(failed_gate: str | None, reason: str | None) -> str:
    """T4's word for a trial's outcome; every gate that is not about building or running is about the result."""
    if failed_gate is None:
        return CORRECT
    if any(words in (reason or "") for words in (time_limits.BUILD, time_limits.ANSWER)):
        return TIMEOUT
    return _OF_GATE.get(failed_gate, CORRECTNESS)
