"""The Kernel contract: what a kernel author writes, and the words that every stage shares.

A kernel is a folder with a `kernel.py` that defines one subclass of `Kernel` and the sources of its variants. Nothing
here imports torch at run time, so that a space can be listed without it.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import torch

Value = bool | int | str
Configuration = Mapping[str, Value]
Inputs = tuple["torch.Tensor", ...]
Argument = "torch.Tensor | np.generic"


@dataclass(frozen=True)
class Workload:
    """Shape, dtype and flags that a kernel is run at; a kernel subclasses it with its own sizes.

    `dtype` is torch's name of the element type, such as "float16".
    """

    name: str
    dtype: str

    def features(self) -> Mapping[str, Value]:
        """What makes it like another workload or unlike it: sizes as whole numbers above 0, flags and words.

        Every field but the name; a kernel that does not tell some sizes apart has their product instead.
        """
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}


@dataclass(frozen=True)
class Geometry:
    """How a CUDA variant is launched: blocks in x, y and z, threads of a block, dynamic shared memory of a block."""

    grid: tuple[int, int, int]
    threads: int
    shared_bytes: int


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


class Variant(abc.ABC):
    """One source of a kernel for one class of target, with what follows from a configuration of it.

    `name` says what it is for: "cpu", or "sm80" for CUDA devices of compute capability 8.0 and later. `sources[0]` is
    what the compiler is given; the others are headers, which count towards the build's hash. `entry` is the
    `extern "C"` function that is launched. Every method is a pure function of its arguments.
    """

    name: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]
    entry: ClassVar[str]
    # What is computed before the output, in that order. Without any, a wrong result is not traced.
    stages: ClassVar[tuple[Stage, ...]] = ()
    # Python files of the folder, self-contained, that an exported kernel needs to launch a build.
    modules: ClassVar[tuple[str, ...]] = ()
    # What an exported kernel has binaries of beside the measured one, by name: the same configuration with these macros
    # in the place of its own.
    forms: ClassVar[Mapping[str, Mapping[str, Value]]] = MappingProxyType({})

    def serves(self, target: str) -> bool:
        """Whether builds for that target come from this variant: "sm80" serves "sm_80", "sm_89", "sm_90"."""
        least, wanted = _capability(self.name), _capability(target)
        return self.name == target if least is None or wanted is None else least <= wanted

    def supports(self, workload: Workload) -> bool:
        """Whether it can run that workload."""
        return True

    @abc.abstractmethod
    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """Macros beyond the parameters that a build for this workload is fixed to (head size, dtype).

        Workloads with equal build macros share a build.
        """

    @abc.abstractmethod
    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """Quantities of a configuration that constraints may use, such as `shared_memory` (bytes) and `threads`."""

    @abc.abstractmethod
    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """Scratch memory that one call needs; its content is arbitrary at every call."""

    def geometry(self, configuration: Configuration, workload: Workload, resident_blocks: int) -> Geometry | None:
        """How it is launched on a device that holds `resident_blocks` at once; None for a CPU, which is called."""
        return None

    def output_tile(self, configuration: Configuration) -> tuple[int, int]:
        """As `Stage.tile`, of the output."""
        return 1, 1


@dataclass(frozen=True)
class Cost:
    """The least work that a workload needs: floating-point operations, and bytes read once and written once."""

    flops: float
    bytes: float


@dataclass(frozen=True)
class Baseline:
    """What the user would run instead: takes the inputs, returns a new output."""

    name: str
    run: Callable[[Inputs], torch.Tensor]


@dataclass(frozen=True)
class NumericsLimits:
    """Allowed error against float64, as factors of the pinned baseline's own error on the same inputs.

    An error that merely rounding the exact result to the output's dtype would make is never held against a kernel.
    """

    max_factor: float = 2.0
    rms_factor: float = 1.25


@dataclass(frozen=True)
class StructureCase:
    """Inputs whose exact output is known by construction.

    `expected` is float64, of the output's shape; `tolerance` is the largest absolute difference allowed (0 = exact).
    """

    name: str
    inputs: Inputs
    expected: torch.Tensor
    tolerance: float


class Kernel(abc.ABC):
    """One kernel: its sources, workloads, inputs, reference, baselines and the quantities that constraints may use.

    Every method is a pure function of its arguments. Inputs are made on the CPU and moved to the device by the
    runtime; what takes tensors (`reference`, `arguments`, a baseline's `run`) works where they are.
    """

    name: ClassVar[str]
    variants: ClassVar[tuple[Variant, ...]]
    workloads: ClassVar[tuple[Workload, ...]]
    distributions: ClassVar[tuple[str, ...]]
    numerics: ClassVar[NumericsLimits] = NumericsLimits()

    @abc.abstractmethod
    def inputs(self, workload: Workload, distribution: str, seed: int) -> Inputs:
        """Contiguous CPU tensors of the workload's dtype, the same for the same arguments on every machine."""

    @abc.abstractmethod
    def empty_output(self, workload: Workload) -> torch.Tensor:
        """An uninitialised CPU tensor of the output's shape and dtype."""

    @abc.abstractmethod
    def reference(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """The exact result in float64."""

    @abc.abstractmethod
    def baselines(self, workload: Workload, target: str) -> tuple[Baseline, ...]:
        """Everything the user could run instead on this target; the fastest of them is the opponent."""

    @abc.abstractmethod
    def pinned_baseline(self, workload: Workload, target: str) -> Baseline:
        """The fused baseline whose own error sets the limits of the `numerics` gate."""

    @abc.abstractmethod
    def error_groups(self, workload: Workload) -> int:
        """Into how many equal leading slices of the output errors are split (attention: batch x heads)."""

    @abc.abstractmethod
    def cost(self, workload: Workload) -> Cost:
        """Least floating-point operations and bytes of one call."""

    @abc.abstractmethod
    def arguments(
        self, workload: Workload, inputs: Inputs, output: torch.Tensor, workspace: torch.Tensor
    ) -> tuple[torch.Tensor | np.generic, ...]:
        """The entry function's arguments: tensors become pointers, NumPy scalars are passed at their own width.

        The tensors are those given, or views of them: calls are prepared once and made many times.
        """

    @abc.abstractmethod
    def structure(self, workload: Workload) -> tuple[StructureCase, ...]:
        """Cases whose output is known exactly, whatever the rounding."""

    @abc.abstractmethod
    def tails(self, workload: Workload, configuration: Configuration) -> tuple[Workload, ...]:
        """Small workloads, of the same build, whose sizes divide by none of the configuration's tiles."""

    @abc.abstractmethod
    def repeatability(self, workload: Workload) -> Workload:
        """The workload, of the same build, that the `repeatability` gate launches 100 times."""

    def traceable(self, workload: Workload) -> Workload:
        """The workload, or one of the same build that is small enough for the values of every stage to be held."""
        return workload

    def macros(self, variant: Variant, configuration: Configuration, workload: Workload) -> Mapping[str, Value]:
        """Every macro of a build: a parameter `tile_m` is seen by the sources as `TILE_M`."""
        parameters = {name.upper(): value for name, value in configuration.items()}
        return {**parameters, **variant.build_macros(workload)}

    def variant(self, name: str) -> Variant:
        """The variant of that name; ValueError names those that exist."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = ", ".join(variant.name for variant in self.variants)
        raise ValueError(f"variant must be one of {known}, got {name}")

    def variant_for(self, target: str) -> Variant:
        """The variant that builds for a target, the most recent one where several do; ValueError when none does."""
        serving = [variant for variant in self.variants if variant.serves(target)]
        if not serving:
            known = ", ".join(variant.name for variant in self.variants)
            raise ValueError(f"target must be served by one of the variants {known}, got {target}")
        return max(serving, key=lambda variant: _capability(variant.name) or 0)


def _capability(name: str) -> int | None:
    """The number in "sm80" and "sm_80"; None for other names."""
    digits = name.removeprefix("sm").removeprefix("_")
    return int(digits) if name.startswith("sm") and digits.isdigit() else None
