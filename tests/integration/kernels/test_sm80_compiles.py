"""The CUDA source compiles with the real nvcc for every architecture that it is for, as its geometry says.

A sample of the built-in spaces in which every value occurs, and every pair of values that touch the same code.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, product

import numpy as np
import pytest

from evotune.planning.locate import kernel_folder, space_file
from evotune.space import Space, ValidSet, load_space
from evotune.space.rules import Derived, Rules
from evotune_workers.compilers.build import Build, BuildRequest, Resources, macro_text
from evotune_workers.compilers.nvcc import compile_nvcc
from evotune_workers.kernel import Configuration, Value, Workload
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.kernel.targets import known_device
from evotune_workers.runtimes.runtime import parse_identity
from tests.support.covering import covering_rows, draw_valid
from tests.support.cubin import most_threads, variable
from tests.support.nvcc_needed import nvcc_or_skip

FOLDER = kernel_folder("attention_fwd")
KERNEL = load_kernel(FOLDER)
VARIANT = KERNEL.variant("sm80")
# By head size; each is built in both element types.
WORKLOADS = (named_workload(KERNEL, "mission"), named_workload(KERNEL, "wide"))
ELEMENTS = ("float16", "bfloat16")
# The sample of a space goes to these in turn, its defaults to all. h200 has thread-block clusters, which sm_90 brought.
TARGETS = {"l4": ("sm_80", "sm_89", "sm_90"), "h200": ("sm_90",)}
EACH_OF_A_FORM = 6
# Every value, and every pair below, that a space has is among so many of its configurations.
DRAWN = 20_000
HEAD_SIZE = "head size"
RISKY_PAIRS = (
    ("prefetch_warps", "stages"),
    ("prefetch_warps", "persistent"),
    ("prefetch_warps", "q_in_registers"),
    ("kv_warps", "split_kv"),
    ("overlap_scores", "step_n"),
    (HEAD_SIZE, "prefetch_warps"),
    (HEAD_SIZE, "q_in_registers"),
    (HEAD_SIZE, "overlap_scores"),
)
REGISTERS_OF_A_THREAD, REGISTERS_OF_A_MULTIPROCESSOR, REGISTERS_ALLOCATED_TOGETHER = 255, 65536, 8


@dataclass(frozen=True)
class Case:
    """One build to make."""

    space: str
    configuration: Configuration
    workload: Workload
    target: str
    default: bool
    form: str | None = None

    @property
    def macros(self) -> dict[str, Value]:
        changed = VARIANT.forms[self.form] if self.form is not None else {}
        return {**KERNEL.macros(VARIANT, self.configuration, self.workload), **changed}


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
    measured = [case for space in TARGETS for case in cases_of(space)]
    # Forms differ in how tensors are addressed alone.
    others = [replace(case, form=form, default=False) for form in VARIANT.forms for case in measured[::EACH_OF_A_FORM]]
    return [*measured, *others]


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


def cases_of(name: str) -> Iterator[Case]:
    """Yield the sample of a space, and its default at each head size, element type and target."""
    space = load_space(space_file("attention_fwd", name))
    assert space.target is not None
    limits = known_device(space.target).limits
    derived = [partial(VARIANT.derived, workload=workload) for workload in WORKLOADS]
    sets = [draw_valid(space, limits, each, DRAWN) for each in derived]
    elements = [cycle(ELEMENTS) for _ in WORKLOADS]
    for (head, row), target in zip(sample(sets), cycle(TARGETS[name]), strict=False):
        workload = replace(WORKLOADS[head], dtype=next(elements[head]))
        yield Case(name, sets[head].configuration(row), workload, target, default=False)
    defaults = [first_valid_default(space, limits, each) for each in derived]
    for (default, workload), element, target in product(zip(defaults, WORKLOADS, strict=True), ELEMENTS, TARGETS[name]):
        yield Case(name, default, replace(workload, dtype=element), target, default=True)


def first_valid_default(space: Space, limits: Mapping[str, int], derived: Derived) -> Configuration:
    rules = Rules(frozenset(each.name for each in space.parameters), space.constraints, limits, derived)
    return next(each.configuration for each in space.defaults if rules.broken_by(each.configuration) is None)


def sample(sets: list[ValidSet]) -> list[tuple[int, int]]:
    """Return for each chosen row its set, of which there is one a head size, and its number there."""
    heads = np.repeat(np.arange(len(sets)), [len(valid) for valid in sets])
    names = [*(parameter.name for parameter in sets[0].parameters), HEAD_SIZE]
    table = np.column_stack([np.concatenate([valid.codes for valid in sets]), heads])
    starts = np.cumsum([0, *(len(valid) for valid in sets)])
    rows = covering_rows(table, [(names.index(one), names.index(other)) for one, other in RISKY_PAIRS])
    return [(int(heads[row]), int(row - starts[heads[row]])) for row in rows]


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
