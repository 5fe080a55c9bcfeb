"""What T4 says of a result that is not valid, in evotune's words and back."""

from __future__ import annotations

CORRECT = "correct"
CONSTRAINTS, COMPILE, RUNTIME, CORRECTNESS, TIMEOUT = "constraints", "compile", "runtime", "correctness", "timeout"
# The gate under which an imported result of each kind is recorded; a time limit may belong to a build or a launch.
GATES = {CONSTRAINTS: "legal", COMPILE: "build", RUNTIME: "launch", CORRECTNESS: "numerics", TIMEOUT: "launch"}
_OF_GATE = {"legal": CONSTRAINTS, "build": COMPILE, "resources": COMPILE, "launch": RUNTIME, "timing": RUNTIME}
# How outcomes that ended by a time limit are worded: of a compiler (compilers/), and of a child (child_process.py).
_TIME_LIMITS = ("a build must end within", "no answer within")


def invalidity(failed_gate: str | None, reason: str | None) -> str:
    """T4's word for a trial's outcome; every gate that is not about building or running is about the result."""
    if failed_gate is None:
        return CORRECT
    if any(words in (reason or "") for words in _TIME_LIMITS):
        return TIMEOUT
    return _OF_GATE.get(failed_gate, CORRECTNESS)
