"""Kernels that are wrong or cheat, in their CUDA form: each is refused at its gate and told why; honest ones pass."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from evotune.planning.seeds import search_seeds
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.gates.gate import GateResult
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.measuring.child_session import Session
from evotune_workers.measuring.measurer import Measurer
from tests.adversarial.case import Case, Refusal
from tests.adversarial.cases import CASES
from tests.adversarial.seeds import failing_seeds, passing_seeds
from tests.adversarial.trial import FOLDER, SEEDS, TILES, assert_refused, build_fault, confirmed, verdict

from .conftest import ATTENTION
from .test_gates_cuda import describe, sample

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

KERNEL = load_kernel(FOLDER)
SHOWN = [case for case in CASES if isinstance(case.cuda, Refusal)]
NEW_SEEDS = "wrong_on_new_seeds"
CONTROLS = 20
RUNS = 5


@pytest.fixture(scope="module")
def builds(gpu: Device) -> Mapping[str, Candidate]:
    """Every fault, built on all cores."""

    def build(fault: str, workload: str) -> Candidate:
        return build_fault(KERNEL, fault, "sm80", gpu.target, workload)

    wanted = {"none": "small", **{case.fault: case.cuda_workload for case in SHOWN}}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(wanted, pool.map(build, wanted.keys(), wanted.values()), strict=True))


@pytest.fixture(scope="module")
def session(gpu: Device) -> Iterator[Session]:
    """One process after the other, with the next one ready."""
    made = Session(FOLDER, gpu)
    yield made
    made.close()


def test_the_honest_form_of_the_same_source_passes_every_gate(
    session: Session, builds: Mapping[str, Candidate]
) -> None:
    met = verdict(session, builds["none"], "sm80", SEEDS)
    assert met.passed, f"{met.gate}: {met.reason}"


@pytest.mark.parametrize("case", SHOWN, ids=lambda case: case.fault)
def test_a_kernel_that_is_wrong_or_cheats_is_refused_at_its_gate(
    case: Case, session: Session, gpu: Device, builds: Mapping[str, Candidate]
) -> None:
    assert isinstance(case.cuda, Refusal)
    seeds = known_seeds() if case.fault == NEW_SEEDS else SEEDS
    met = verdict(session, builds[case.fault], "sm80", seeds)
    if case.fault == NEW_SEEDS:
        assert met.passed, f"{met.gate}: {met.reason}"
        met = confirming(gpu, builds[case.fault])
    assert_refused(case, case.cuda, met)


def test_a_build_that_ignores_its_configuration_is_one_binary(gpu: Device) -> None:
    made = [
        build_fault(KERNEL, "ignores_its_configuration", "sm80", gpu.target, "small", tile_n=tile_n)
        for tile_n in (32, 64)
    ]
    assert made[0].builds[0].build.binary_hash == made[1].builds[0].build.binary_hash is not None


def test_controls_pass_every_gate_with_the_seeds_of_five_searches(gpu: Device) -> None:
    """Configurations of the real kernel, spread over the built-in space."""
    space = "h200" if gpu.target == "sm_90" else "l4"
    configurations = sample(space, gpu)[:CONTROLS]
    jobs = [BuildJob(n, each, "sm80", gpu.target, ("mission",)) for n, each in enumerate(configurations)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        candidates = list(pool.map(partial(build_candidate, ATTENTION), jobs))
    session = Session(ATTENTION, gpu)
    refused = [
        f"{describe(candidate)}: {met.gate}: {met.reason}"
        for candidate in candidates
        for run in range(RUNS)
        if not (met := verdict(session, candidate, "sm80", search_seeds(run), timed=run == 0)).passed
    ]
    session.close()
    assert not refused, "\n".join(refused)


def known_seeds() -> tuple[int, ...]:
    """Seeds on which the kernel that is wrong on new ones is right."""
    return passing_seeds(KERNEL, named_workload(KERNEL, "small"), TILES["sm80"], 3)


def confirming(gpu: Device, candidate: Candidate) -> GateResult:
    """Check a kernel that has passed every gate on new seeds."""
    measurer = Measurer(FOLDER, gpu)
    try:
        return confirmed(measurer, candidate, "sm80", failing_seeds(KERNEL, named_workload(KERNEL, "small"), 1))
    finally:
        measurer.close()
