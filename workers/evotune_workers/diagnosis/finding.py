"""The result of a diagnosis, as frozen dataclasses that travel between child, worker and orchestrator."""

from __future__ import annotations

from dataclasses import dataclass

from evotune_workers.diagnosis.comparison import Comparison
from evotune_workers.diagnosis.wrong_result import WrongResult

# The name of the last stage, whose values an ordinary build writes.
OUTPUT = "output"


@dataclass(frozen=True)
class StageFinding:
    """One stage compared with the reference; if it could not be (its build crashed, say), `reason` tells why.

    The output may have failed by the RMS of its errors although no single value is wrong.
    """

    stage: str
    workload: str
    passed: bool
    compared: Comparison | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Findings for every stage, in the order of computation; `number` is that of the trial in its search."""

    number: int
    wrong: WrongResult
    stages: tuple[StageFinding, ...]
