"""The attention kernel's variant sm80 as Kernel Tuner takes a kernel: arguments, answer, macros, launch, options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.beside_kernel_tuner.space import from_tuner
from evotune.planning.locate import kernel_folder, space_file
from evotune.space import load_space
from evotune_workers.compilers.build import macro_text
from evotune_workers.kernel import Configuration, Geometry
from evotune_workers.kernel.folder import load_kernel, named_workload

FOLDER = kernel_folder("attention_fwd")
# Registers are handed out to warps in units of 256 (CUDA Occupancy Calculator, compute capabilities 7.0 to 9.0).
REGISTERS_UNIT_OF_THREAD = 8
RESERVED_SHARED_BYTES = 1024
# NVRTC comes without the C++ library: this is what the sources use of it.
FIXED_WIDTH_INTEGERS = """#pragma once
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;
"""
# nvcc evaluates constexpr functions of the host for the device, NVRTC takes every function to be the device's.
NVRTC_OPTIONS = ("-std=c++17", "-default-device", "-DINFINITY=__int_as_float(0x7f800000)")
INPUTS = ("normal", 1)


class TunedKernel:
    """The kernel at one workload on a device of these limits; parameters are Kernel Tuner's."""

    def __init__(self, workload: str, limits: Mapping[str, int]) -> None:
        self.kernel = load_kernel(FOLDER)
        self.variant = self.kernel.variant("sm80")
        self.workload = named_workload(self.kernel, workload)
        self.space = load_space(space_file("attention_fwd", "h200"))
        self.source = str(FOLDER / self.variant.sources[0])
        self._limits = limits
        self._some = self.space.defaults[0].configuration

    def arguments_and_answer(self) -> tuple[list[Any], list[Any]]:
        """NumPy arrays and scalars as the kernel takes them, and beside them the output in float64, None for inputs.

        The output begins as NaN, which Kernel Tuner restores before it checks one.
        """
        inputs = self.kernel.inputs(self.workload, *INPUTS)
        output = self.kernel.empty_output(self.workload).fill_(float("nan"))
        workspace = torch.zeros(self._most_workspace_bytes(), dtype=torch.uint8)
        arguments = self.kernel.arguments(self.workload, inputs, output, workspace)
        expected = self.kernel.reference(self.workload, inputs).numpy()
        return (
            [each.numpy() if isinstance(each, torch.Tensor) else each for each in arguments],
            [expected if each is output else None for each in arguments],
        )

    def macros(self) -> dict[str, Callable[[Mapping[str, Any]], str]]:
        """For each macro, what gives its text for a configuration."""
        names = self.kernel.macros(self.variant, self._some, self.workload)
        return {name: partial(self._macro, name) for name in names}

    def grid(self, parameters: Mapping[str, Any]) -> tuple[int, int, int]:
        """Blocks in x, y and z."""
        return self._geometry(parameters).grid

    def shared_bytes(self, parameters: Mapping[str, Any]) -> int:
        """Dynamic shared memory of a block."""
        return self._geometry(parameters).shared_bytes

    def compiler_options(self, headers: Path) -> list[str]:
        """For NVRTC; `headers` is a folder in which to put the header that it lacks."""
        (headers / "cstdint").write_text(FIXED_WIDTH_INTEGERS)
        return [f"-I{headers}", f"-I{Path(self.source).parent}", *NVRTC_OPTIONS]

    def _most_workspace_bytes(self) -> int:
        """Kernel Tuner's arguments are the same for every configuration; the workspace depends on these two alone."""
        values = {parameter.name: parameter.values for parameter in self.space.parameters}
        split = [
            {**self._some, "split_merge": "workspace", "tile_m": tile_m, "split_kv": split_kv}
            for tile_m in values["tile_m"]
            for split_kv in values["split_kv"]
        ]
        return max(self.variant.workspace_bytes(each, self.workload) for each in split)

    def _macro(self, name: str, parameters: Mapping[str, Any]) -> str:
        return macro_text(self.kernel.macros(self.variant, from_tuner(parameters), self.workload)[name])

    def _geometry(self, parameters: Mapping[str, Any]) -> Geometry:
        configuration = from_tuner(parameters)
        geometry = self.variant.geometry(configuration, self.workload, self._resident_blocks(configuration))
        assert geometry is not None, "a CUDA variant says how it is launched"
        return geometry

    def _resident_blocks(self, configuration: Configuration) -> int:
        """How many blocks the device holds, as far as that can be said before compilation, when the grid is asked for.

        Registers are the estimate that the space's constraints use. Only persistent blocks are launched by this number.
        """
        limits, derived = self._limits, self.variant.derived(configuration, self.workload)
        unit = REGISTERS_UNIT_OF_THREAD
        registers = -(-derived["registers"] // unit) * unit * derived["threads"]
        of_one = min(
            limits["blocks_per_multiprocessor"],
            limits["threads_per_multiprocessor"] // derived["threads"],
            limits["shared_memory_per_multiprocessor"] // (derived["shared_memory"] + RESERVED_SHARED_BYTES),
            limits["registers_per_multiprocessor"] // registers,
        )
        return max(of_one, int(configuration["min_blocks"])) * limits["multiprocessors"]
