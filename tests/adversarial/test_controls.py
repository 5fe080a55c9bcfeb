"""Correct configurations, with every value of every parameter, pass every gate for any seeds: no false alarms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from evotune.planning.locate import kernel_folder, space_file
from evotune.planning.seeds import search_seeds
from evotune.space import ValidSet, load_space
from evotune_workers.compilers.build import BuildRequest
from evotune_workers.compilers.candidate import Candidate, WorkloadBuild
from evotune_workers.compilers.cpp import compile_cpp
from evotune_workers.kernel import Configuration
from evotune_workers.kernel.device import cpu_device
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.measuring.child_session import Session
from tests.support.covering import covering_rows

from .trial import one_core, verdict

ATTENTION = kernel_folder("attention_fwd")
KERNEL = load_kernel(ATTENTION)
VARIANT, MISSION = KERNEL.variant("cpu"), named_workload(KERNEL, "mission")
SMALL = Path(__file__).parent / "honest"
LEAST_CONTROLS = 20
# Searches, each with its own seeds.
RUNS = 5
# The first controls, which have every value of every parameter.
TIMED = 5


@pytest.fixture(scope="module")
def valid() -> ValidSet:
    """Return the valid configurations of the CPU space on this machine."""
    space = load_space(space_file("attention_fwd", "cpu"))
    derived = partial(VARIANT.derived, workload=MISSION)
    return space.enumerate(cpu_device().limits, derived)


@pytest.fixture(scope="module")
def chosen(valid: ValidSet) -> list[Configuration]:
    """Choose configurations of the real kernel that have every value, and others spread over the space."""
    rows = covering_rows(valid.codes, [])
    others = [row for row in range(0, len(valid), len(valid) // LEAST_CONTROLS) if row not in rows]
    return [valid.configuration(row) for row in [*rows, *others[: max(0, LEAST_CONTROLS - len(rows))]]]


@pytest.fixture(scope="module")
def controls(chosen: list[Configuration]) -> list[Candidate]:
    return built(chosen)


def built(configurations: list[Configuration]) -> list[Candidate]:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(build, configurations))


def build(configuration: Configuration) -> Candidate:
    """Build with the macros of the mission, which are also those of the small workload."""
    macros = dict(KERNEL.macros(VARIANT, configuration, MISSION))
    made = compile_cpp(BuildRequest(ATTENTION, VARIANT, "cpu", macros))
    assert made.failure is None, made.failure
    return Candidate(0, configuration, (WorkloadBuild("small", macros, made),))


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """Return one process for all controls, as in a search without failures."""
    made = Session(SMALL, one_core())
    yield made
    made.close()


def test_the_controls_have_every_value_of_every_parameter(valid: ValidSet, controls: list[Candidate]) -> None:
    assert len(controls) >= LEAST_CONTROLS
    for column, parameter in enumerate(valid.parameters):
        values = {parameter.values[code] for code in valid.codes[:, column]}
        assert {candidate.configuration[parameter.name] for candidate in controls} == values, parameter.name


@pytest.mark.parametrize("run", range(RUNS))
def test_every_control_passes_every_gate(run: int, controls: list[Candidate], session: Session) -> None:
    for candidate in controls:
        result = verdict(session, candidate, "cpu", search_seeds(run), timed=False)
        assert result.passed, f"{candidate.configuration}: {result.gate}: {result.reason}"


@pytest.mark.quiet
def test_timing_refuses_no_control(chosen: list[Configuration], session: Session) -> None:
    for candidate in built(chosen[:TIMED]):
        result = verdict(session, candidate, "cpu", search_seeds(RUNS))
        assert result.passed, f"{candidate.configuration}: {result.gate}: {result.reason}"
