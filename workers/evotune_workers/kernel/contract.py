"""The Kernel contract: the classes that a kernel author implements, and the values that every stage shares.

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
    """Shape, dtype and flags of one problem that a kernel solves; a kernel subclasses it with its own sizes.

    `dtype` is torch's name of the element type, such as "float16".
    """

    name: str
    dtype: str

    def features(self) -> Mapping[str, Value]:
        """Return the values by which workloads are compared: sizes as whole numbers above 0, flags and words.

        By default these are all fields but the name. A kernel for which only the product of some sizes matters
        returns that product in their place.
        """
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}


@dataclass(frozen=True)
class Geometry:
    """Launch geometry of a CUDA variant: blocks in x, y and z, threads and dynamic shared memory (bytes) per block."""

    grid: tuple[int, int, int]
    threads: int
    shared_bytes: int


@dataclass(frozen=True)
class StageValues:
    """A stage's values as a launch computed them, and the exact ones: float64 tensors of one shape on one device.

    A value is right if it differs from the expected one by at most its limit, or if both are the same infinity.
    `limits` may have size 1 along a dimension in which they do not differ.
    """

    found: torch.Tensor
    expected: torch.Tensor
    limits: torch.Tensor


class Stage(abc.ABC):
    """A step inside a kernel whose values can be inspected, so that a wrong result can be traced to its origin.

    A build with the macro EVOTUNE_STAGE=`name` has the same entry function, arguments and launch geometry. It writes
    the stage's values in place of its output. A build without the macro must be unaffected by the stage.
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def empty(self, configuration: Configuration, workload: Workload) -> torch.Tensor:
        """Return an uninitialised CPU tensor of a floating-point type that takes the output's place.

        The launch gets a copy of its shape and dtype, filled with NaN.
        """

    @abc.abstractmethod
    def values(
        self, configuration: Configuration, workload: Workload, inputs: Inputs, written: torch.Tensor
    ) -> StageValues:
        """Return the values found in `written`, and the expected ones computed from the inputs in float64.

        All tensors lie on the device of the inputs.
        """

    @abc.abstractmethod
    def tile(self, configuration: Configuration) -> tuple[int, int]:
        """Return the rows and columns of the last two dimensions that the kernel computes together.

        A diagnosis draws its map of wrong values by these tiles.
        """


class Variant(abc.ABC):
    """One source of a kernel for one class of targets, with the quantities that follow from a configuration.

    `name` names the targets: "cpu", or "sm80" for CUDA devices of compute capability 8.0 and later. `sources[0]` is
    the file that is compiled; the others are headers, whose content also enters the build's hash. `entry` is the
    `extern "C"` function that is launched. Every method is a pure function of its arguments.
    """

    name: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]
    entry: ClassVar[str]
    # The steps before the output, in the order of computation. Without any, a wrong result is not traced.
    stages: ClassVar[tuple[Stage, ...]] = ()
    # Self-contained Python files of the folder that an exported kernel needs to launch a build.
    modules: ClassVar[tuple[str, ...]] = ()
    # Further binaries of an exported kernel, by name: the measured configuration with these macros in place of its
    # own.
    forms: ClassVar[Mapping[str, Mapping[str, Value]]] = MappingProxyType({})

    def serves(self, target: str) -> bool:
        """Return True if this variant has builds for that target: "sm80" serves "sm_80", "sm_89", "sm_90"."""
        least, wanted = _capability(self.name), _capability(target)
        return self.name == target if least is None or wanted is None else least <= wanted

    def supports(self, workload: Workload) -> bool:
        """Return True if this variant can run that workload."""
        return True

    @abc.abstractmethod
    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """Return the macros, beyond the parameters, that fix a build to this workload (head size, dtype).

        Workloads with equal build macros share a build.
        """

    @abc.abstractmethod
    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """Return the quantities that constraints may use, such as `shared_memory` (bytes) and `threads`."""

    @abc.abstractmethod
    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """Return the bytes of scratch memory that one call needs; its content is arbitrary at every call."""

    def geometry(self, configuration: Configuration, workload: Workload, resident_blocks: int) -> Geometry | None:
        """Return the launch geometry on a device that holds `resident_blocks` blocks at once.

        Returns None for a CPU variant: its entry function is called, not launched.
        """
        return None

    def output_tile(self, configuration: Configuration) -> tuple[int, int]:
        """Return the tile of the output, as `Stage.tile` does of a stage."""
        return 1, 1


@dataclass(frozen=True)
class Cost:
    """The least work that a workload needs: floating-point operations, and bytes if each is moved once."""

    flops: float
    bytes: float


@dataclass(frozen=True)
class Baseline:
    """An implementation that the user would run instead: `run` takes the inputs and returns a new output."""

    name: str
    run: Callable[[Inputs], torch.Tensor]


@dataclass(frozen=True)
class NumericsLimits:
    """Allowed error against float64, as factors of the pinned baseline's own error on the same inputs.

    A kernel is always allowed the error of rounding the exact result to the output's dtype.
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
    runtime; `reference`, `arguments` and a baseline's `run` work on the device where their tensors lie.
    """

    name: ClassVar[str]
    variants: ClassVar[tuple[Variant, ...]]
    workloads: ClassVar[tuple[Workload, ...]]
    distributions: ClassVar[tuple[str, ...]]
    numerics: ClassVar[NumericsLimits] = NumericsLimits()

    @abc.abstractmethod
    def inputs(self, workload: Workload, distribution: str, seed: int) -> Inputs:
        """Return contiguous CPU tensors of the workload's dtype, equal for equal arguments on every machine."""

    @abc.abstractmethod
    def empty_output(self, workload: Workload) -> torch.Tensor:
        """Return an uninitialised CPU tensor of the output's shape and dtype."""

    @abc.abstractmethod
    def reference(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """Return the exact result in float64."""

    @abc.abstractmethod
    def baselines(self, workload: Workload, target: str) -> tuple[Baseline, ...]:
        """Return the implementations that the user could run instead on this target; speed-ups are over the fastest."""

    @abc.abstractmethod
    def pinned_baseline(self, workload: Workload, target: str) -> Baseline:
        """Return the fused baseline whose own error sets the limits of the `numerics` gate."""

    @abc.abstractmethod
    def error_groups(self, workload: Workload) -> int:
        """Return the number of equal leading slices of the output, each with errors of its own (attention: B x H)."""

    @abc.abstractmethod
    def cost(self, workload: Workload) -> Cost:
        """Return the least floating-point operations and bytes of one call."""

    @abc.abstractmethod
    def arguments(
        self, workload: Workload, inputs: Inputs, output: torch.Tensor, workspace: torch.Tensor
    ) -> tuple[torch.Tensor | np.generic, ...]:
        """Return the entry function's arguments: tensors become pointers, NumPy scalars keep their own width.

        Every tensor is one of the parameters, or a view of one: a call is prepared once and made many times.
        """

    @abc.abstractmethod
    def structure(self, workload: Workload) -> tuple[StructureCase, ...]:
        """Return cases whose exact output is known, independent of rounding."""

    @abc.abstractmethod
    def tails(self, workload: Workload, configuration: Configuration) -> tuple[Workload, ...]:
        """Return small workloads of the same build whose sizes are multiples of none of the configuration's tiles."""

    @abc.abstractmethod
    def repeatability(self, workload: Workload) -> Workload:
        """Return the workload, of the same build, that the `repeatability` gate launches 100 times."""

    def traceable(self, workload: Workload) -> Workload:
        """Return the workload, or a smaller one of the same build if the values of a stage would not fit in memory."""
        return workload

    def macros(self, variant: Variant, configuration: Configuration, workload: Workload) -> Mapping[str, Value]:
        """Return every macro of a build: the sources see a parameter `tile_m` as `TILE_M`."""
        parameters = {name.upper(): value for name, value in configuration.items()}
        return {**parameters, **variant.build_macros(workload)}

    def variant(self, name: str) -> Variant:
        """Return the variant of that name; the ValueError for an unknown one lists the known ones."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = ", ".join(variant.name for variant in self.variants)
        raise ValueError(f"variant must be one of {known}, got {name}")

    def variant_for(self, target: str) -> Variant:
        """Return the variant that serves a target, of several the most recent; raise ValueError if there is none."""
        serving = [variant for variant in self.variants if variant.serves(target)]
        if not serving:
            known = ", ".join(variant.name for variant in self.variants)
            raise ValueError(f"target must be served by one of the variants {known}, got {target}")
        return max(serving, key=lambda variant: _capability(variant.name) or 0)


def _capability(name: str) -> int | None:
    """Return the number in "sm80" or "sm_80", None for other names."""
    digits = name.removeprefix("sm").removeprefix("_")
    return int(digits) if name.startswith("sm") and digits.isdigit() else None
