"""Translate between T4's `invalidity` of a result and evotune's gates."""

from __future__ import annotations

from evotune.replay.t4_results import CORRECT
from evotune_workers.system import time_limits

CONSTRAINTS, COMPILE, RUNTIME, CORRECTNESS, TIMEOUT = "constraints", "compile", "runtime", "correctness", "timeout"
# The gate of an imported failure of each kind. A time-out may be one of the build or of the launch: T4 does not say.
GATES = {CONSTRAINTS: "legal", COMPILE: "build", RUNTIME: "launch", CORRECTNESS: "numerics", TIMEOUT: "launch"}
_OF_GATE = {"legal": CONSTRAINTS, "build": COMPILE, "resources": COMPILE, "launch": RUNTIME, "timing": RUNTIME}


def invalidity(failed_gate: str | None, reason: str | None) -> str:
    """Return T4's word for a trial's outcome. All gates except those of build and launch check the result."""
    if failed_gate is None:
        return CORRECT
    if any(words in (reason or "") for words in (time_limits.BUILD, time_limits.ANSWER)):
        return TIMEOUT
    return _OF_GATE.get(failed_gate, CORRECTNESS)
