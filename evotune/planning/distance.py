"""Distance between workloads, and between devices: earlier searches that are near have more to teach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from evotune_workers.kernel.contract import Value, Variant, Workload
from evotune_workers.kernel.device import Device


@dataclass(frozen=True, order=True)
class WorkloadDistance:
    """Distance of two workloads. One that another build serves (attention: dtype and head size) is the farther one.

    `doublings` adds up the differences of sizes as powers of two; a flag or a word that differs counts as one. The
    dispatcher of an exported portfolio uses the same distance.
    """

    other_build: bool
    doublings: float


def workload_distance(variant: Variant, first: Workload, second: Workload) -> WorkloadDistance:
    """Return the distance of two workloads that the variant supports."""
    other_build = variant.build_macros(first) != variant.build_macros(second)
    return WorkloadDistance(other_build, _doublings(first.features(), second.features()))


def device_distance(device: Device, name: str, target: str) -> int:
    """Return 0 for the same device model, 1 for another one of the same target, 2 for any other."""
    if name == device.name:
        return 0
    return 1 if target == device.target else 2


def _doublings(first: Mapping[str, Value], second: Mapping[str, Value]) -> float:
    # Rounded, so that sizes that are equally far in whole doublings are equally far.
    return round(sum(_difference(first.get(name), second.get(name)) for name in {*first, *second}), 6)


def _difference(one: Value | None, other: Value | None) -> float:
    if _is_size(one) and _is_size(other):
        return abs(math.log2(one / other))
    return 0.0 if one == other else 1.0


def _is_size(value: Value | None) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
