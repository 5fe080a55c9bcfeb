"""What a diagnosis came to: plain frozen dataclasses, which travel between child, worker and orchestrator."""

from __future__ import annotations

from dataclasses import dataclass

from evotune_workers.diagnosis.comparison import Comparison
from evotune_workers.diagnosis.wrong_result import WrongResult

# The stage that an ordinary build ends with.
OUTPUT = "output"


@dataclass(frozen=True)
class StageFinding:
    """One stage compared with the reference. Not compared, because its build crashed, say: `reason` tells why.

    The output may be wrong by the RMS of its errors alone.
    """

    stage: str
    workload: str
    passed: bool
    compared: Comparison | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Every stage of the trial with that number, in the order in which the kernel computes them."""

    number: int
    wrong: WrongResult
    stages: tuple[StageFinding, ...]
