"""The gates that need a running build, one file each, in the order in which they are applied.

A gate has two halves. `measure` runs in the killable child, beside untrusted code, and only returns figures; `judge`
runs in the measuring actor and decides. A figure that is missing, or NaN, fails: every comparison is written
`value <= limit`.
"""

from __future__ import annotations

from .gate import Gate, GateResult
from .identity import IdentityGate
from .launch import LaunchGate
from .memory import MemoryGate
from .numerics import NumericsGate
from .plausibility import PlausibilityGate
from .repeatability import RepeatabilityGate
from .structure import StructureGate
from .tails import TailsGate

RUNNING_GATES: tuple[Gate, ...] = (
    IdentityGate(),
    LaunchGate(),
    MemoryGate(),
    StructureGate(),
    NumericsGate(),
    TailsGate(),
    RepeatabilityGate(),
    PlausibilityGate(),
)

__all__ = ["RUNNING_GATES", "Gate", "GateResult"]
