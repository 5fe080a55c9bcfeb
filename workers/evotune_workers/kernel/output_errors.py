"""Errors of a kernel's output against float64: the figures that a kernel's `numerics` limits apply to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Errors:
    """Errors against float64 of a kernel and of the pinned baseline on the same inputs, a value for each group.

    `rounding_max` is the largest error that rounding the exact result to the output's dtype makes in that group, and
    `rounding_rms` its root mean square.
    """

    kernel_max: tuple[float, ...]
    kernel_rms: tuple[float, ...]
    baseline_max: tuple[float, ...]
    baseline_rms: tuple[float, ...]
    rounding_max: tuple[float, ...]
    rounding_rms: tuple[float, ...]


def group_errors(
    output: torch.Tensor, reference: torch.Tensor, groups: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the largest and the root-mean-square difference from `reference` (float64) in each of `groups` slices.

    The slices are those of the leading dimension. An attention kernel has one for each head.
    """
    difference = (output.double() - reference).reshape(groups, -1)
    largest = difference.abs().amax(dim=1)
    return tuple(largest.tolist()), tuple(difference.pow(2).mean(dim=1).sqrt().tolist())
