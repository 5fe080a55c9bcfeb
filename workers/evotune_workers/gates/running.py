"""The gates that launch a build, in the order in which they are applied."""

from __future__ import annotations

from evotune_workers.gates.gate import Gate
from evotune_workers.gates.identity import IdentityGate
from evotune_workers.gates.launch import LaunchGate
from evotune_workers.gates.memory import MemoryGate
from evotune_workers.gates.numerics import NumericsGate
from evotune_workers.gates.plausibility import PlausibilityGate
from evotune_workers.gates.repeatability import RepeatabilityGate
from evotune_workers.gates.structure import StructureGate
from evotune_workers.gates.tails import TailsGate

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
