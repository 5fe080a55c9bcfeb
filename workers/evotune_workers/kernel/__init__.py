"""The contract that a kernel author implements; targets and devices.

Nothing here imports another package of ours.
"""

from evotune_workers.kernel.contract import (
    Argument,
    Baseline,
    Configuration,
    Cost,
    Geometry,
    Inputs,
    Kernel,
    NumericsLimits,
    Stage,
    StageValues,
    StructureCase,
    Value,
    Variant,
    Workload,
)

__all__ = [
    "Argument",
    "Baseline",
    "Configuration",
    "Cost",
    "Geometry",
    "Inputs",
    "Kernel",
    "NumericsLimits",
    "Stage",
    "StageValues",
    "StructureCase",
    "Value",
    "Variant",
    "Workload",
]
