"""Stages of a kernel: the part of the Kernel contract that a diagnosis needs."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evotune_workers.kernel.contract import Configuration, Inputs, Workload

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StageValues:
    """A stage's values as a launch computed them beside the exact ones: float64 tensors of one shape on one device.

    A value is wrong unless it differs from the expected one by at most its limit; the same infinity twice is right.
    `limits` may have size 1 where they are the same along a dimension.
    """

    found: torch.Tensor
    expected: torch.Tensor
    limits: torch.Tensor


class Stage(abc.ABC):
    """A step inside a kernel that can be looked at, so that a wrong result can be traced to where it comes from.

    A build with the macro EVOTUNE_STAGE=`name` has the same entry function, arguments and launch geometry, but writes
    the stage's values to where its output would go. The macro must change nothing in a build that is not given it.
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def empty(self, configuration: Configuration, workload: Workload) -> torch.Tensor:
        """An uninitialised CPU tensor of a floating-point type that takes the output's place; it is filled with NaN."""

    @abc.abstractmethod
    def values(
        self, configuration: Configuration, workload: Workload, inputs: Inputs, written: torch.Tensor
    ) -> StageValues:
        """What `written` says, beside what follows from the inputs in float64; all where the inputs are."""

    @abc.abstractmethod
    def tile(self, configuration: Configuration) -> tuple[int, int]:
        """How many of the last two dimensions' values the kernel computes together, for a map of what is wrong."""
