"""The contract that a kernel author implements; targets and devices."""

from evotune_workers.kernel.contract import (
    Argument,
    Baseline,
    Configuration,
    Cost,
    Geometry,
    Inputs,
    Kernel,
    NumericsLimits,
    StructureCase,
    Value,
    Variant,
    Workload,
)
from evotune_workers.kernel.stage import Stage, StageValues

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
