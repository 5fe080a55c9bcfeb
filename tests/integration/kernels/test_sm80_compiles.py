"""The CUDA source compiles with the real nvcc for every architecture that it is for, as its geometry says.

A sample of the built-in spaces in which every value occurs, and every pair of values that touch the same code.
"""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import pytest

from evotune.planning.locate import space_file
from evotune.space import load_space
from evotune_workers.compilers.build import Build, BuildRequest, Resources, macro_text
from evotune_workers.compilers.nvcc import compile_nvcc
from evotune_workers.runtimes.runtime import parse_identity
from tests.support.cubin import most_threads, variable
from tests.support.nvcc_needed import nvcc_or_skip

from .sm80_cases import ELEMENTS, FOLDER, TARGETS, VARIANT, WORKLOADS, Case, sampled_cases

REGISTERS_OF_A_THREAD, REGISTERS_OF_A_MULTIPROCESSOR, REGISTERS_ALLOCATED_TOGETHER = 255, 65536, 8


@dataclass(frozen=True)
class Built:
    """A case and the build of it that succeeded."""

    case: Case
    binary: bytes
    resources: Resources

    @property
    def derived(self) -> dict[str, int]:
        return dict(VARIANT.derived(self.case.configuration, self.case.workload))


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    nvcc_or_skip()
    return sampled_cases()


@pytest.fixture(scope="module")
def builds(cases: list[Case]) -> list[Build]:
    """Threads suffice: each waits for an nvcc of its own."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_case, cases))


@pytest.fixture(scope="module")
def built(cases: list[Case], builds: list[Build]) -> list[Built]:
    return [
        Built(case, build.binary, build.resources)
        for case, build in zip(cases, builds, strict=True)
        if build.binary is not None and build.resources is not None
    ]


def compile_case(case: Case) -> Build:
    return compile_nvcc(BuildRequest(FOLDER, VARIANT, case.target, case.macros))


@pytest.mark.parametrize("space", TARGETS)
def test_every_value_of_a_space_is_in_the_sample(space: str, cases: list[Case]) -> None:
    sampled = [case for case in cases if case.space == space and not case.default and case.form is None]
    for parameter in load_space(space_file("attention_fwd", space)).parameters:
        assert {case.configuration[parameter.name] for case in sampled} == set(parameter.values), parameter.name
    assert {case.target for case in sampled} == set(TARGETS[space])
    built_for = {(case.macros["HEAD_DIM"], case.macros["ELEMENT"]) for case in sampled}
    assert built_for == set(product((64, 128), ELEMENTS))


def test_every_configuration_of_the_sample_compiles(cases: list[Case], builds: list[Build]) -> None:
    assert [(build.failure, case) for case, build in zip(cases, builds, strict=True) if build.failure] == []


def test_no_thread_has_more_registers_than_there_are_nor_a_multiprocessor_fewer_blocks_than_asked_for(
    built: list[Built],
) -> None:
    for each in built:
        registers = each.resources.registers
        assert registers is not None and 0 < registers <= REGISTERS_OF_A_THREAD
        allocated = -(-registers // REGISTERS_ALLOCATED_TOGETHER) * REGISTERS_ALLOCATED_TOGETHER
        blocks = int(each.case.configuration["min_blocks"])
        assert allocated * each.derived["threads"] * blocks <= REGISTERS_OF_A_MULTIPROCESSOR, each.case


def test_the_launch_bound_is_the_number_of_threads_that_the_geometry_launches(built: list[Built]) -> None:
    for each in built:
        assert most_threads(each.binary, VARIANT.entry) == each.derived["threads"], each.case


def test_the_shared_memory_of_the_geometry_is_what_the_source_lays_out(built: list[Built]) -> None:
    for each in built:
        (laid_out,) = struct.unpack("<i", variable(each.binary, "evotune_shared_bytes"))
        assert laid_out == each.derived["shared_memory"], each.case
        assert each.resources.shared_bytes == 0, "all of it is dynamic"


def test_every_binary_records_the_configuration_that_it_was_built_with(built: list[Built]) -> None:
    for each in built:
        record = parse_identity(variable(each.binary, "evotune_configuration"))
        assert record == {name: macro_text(value) for name, value in each.case.macros.items()}


def test_the_defaults_spill_nothing(built: list[Built]) -> None:
    defaults = [each for each in built if each.case.default]
    assert len(defaults) == sum(len(WORKLOADS) * len(ELEMENTS) * len(targets) for targets in TARGETS.values())
    for each in defaults:
        found = each.resources
        assert (found.spill_stores, found.spill_loads, found.stack_bytes) == (0, 0, 0), each.case
