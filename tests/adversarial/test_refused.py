"""Kernels that are wrong or cheat, in their CPU form: each is refused at its gate, with its reason."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from evotune_workers.gates.gate import GateResult
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.measuring.child_session import Session
from evotune_workers.measuring.measurer import Measurer

from .case import Case, Refusal, both
from .cases import CASES
from .seeds import failing_seeds, passing_seeds
from .trial import FOLDER, SEEDS, TILES, assert_refused, build_fault, confirmed, one_core, verdict

pytestmark = pytest.mark.quiet

KERNEL = load_kernel(FOLDER)
SHOWN = [case for case in CASES if isinstance(case.cpu, Refusal)]
HONEST = both("none", "is right", "none", "nothing")
NEW_SEEDS = "wrong_on_new_seeds"


@pytest.fixture(scope="module")
def verdicts() -> Iterator[Mapping[str, Future[GateResult]]]:
    """Run all faults, with one process on each core, and return the result of each."""
    count = len(os.sched_getaffinity(0))
    made = [Session(FOLDER, one_core()) for _ in range(count)]
    sessions: queue.SimpleQueue[Session] = queue.SimpleQueue()
    for session in made:
        sessions.put(session)
    with ThreadPoolExecutor(count) as pool:
        yield {case.fault: pool.submit(run, case, sessions) for case in (HONEST, *SHOWN)}
        pool.shutdown(cancel_futures=True)
    for session in made:
        session.close()


def run(case: Case, sessions: queue.SimpleQueue[Session]) -> GateResult:
    candidate = build_fault(KERNEL, case.fault, "cpu", "cpu", case.workload)
    seeds = known_seeds() if case.fault == NEW_SEEDS else SEEDS
    session = sessions.get()
    try:
        return verdict(session, candidate, "cpu", seeds)
    finally:
        sessions.put(session)


@pytest.mark.parametrize("case", SHOWN, ids=lambda case: case.fault)
def test_a_kernel_that_is_wrong_or_cheats_is_refused_at_its_gate(
    case: Case, verdicts: Mapping[str, Future[GateResult]]
) -> None:
    assert isinstance(case.cpu, Refusal)
    result = verdicts[case.fault].result()
    if case.fault == NEW_SEEDS:
        assert result.passed, f"{result.gate}: {result.reason}"
        result = confirm()
    assert_refused(case, case.cpu, result)


def test_the_honest_form_of_the_same_source_passes_every_gate(verdicts: Mapping[str, Future[GateResult]]) -> None:
    result = verdicts[HONEST.fault].result()
    assert result.passed, f"{result.gate}: {result.reason}"


def known_seeds() -> tuple[int, ...]:
    """Return seeds on which the kernel that is wrong on new seeds is right."""
    return passing_seeds(KERNEL, named_workload(KERNEL, "small"), TILES["cpu"], 3)


def confirm() -> GateResult:
    """Confirm a kernel that has passed every gate, with new seeds."""
    measurer = Measurer(FOLDER, one_core())
    candidate = build_fault(KERNEL, NEW_SEEDS, "cpu", "cpu", "small")
    try:
        return confirmed(measurer, candidate, "cpu", failing_seeds(KERNEL, named_workload(KERNEL, "small"), 1))
    finally:
        measurer.close()
