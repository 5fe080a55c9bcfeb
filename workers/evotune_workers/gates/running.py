"""The gates that need a running build, in the order in which they are applied."""

from __future__ import annotations

from .gate import Gate
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
