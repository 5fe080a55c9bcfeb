"""Kernels that are wrong or cheat, in their CPU form: each is refused at its gate, and told why."""

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
from .seeds import telling_seeds, unsuspicious_seeds
from .trial import FOLDER, SEEDS, TILES, assert_refused, build_fault, confirmed, one_core, verdict

pytestmark = pytest.mark.quiet

KERNEL = load_kernel(FOLDER)
SHOWN = [case for case in CASES if isinstance(case.cpu, Refusal)]
HONEST = both("none", "is right", "none", "nothing")
NEW_SEEDS = "wrong_on_new_seeds"


@pytest.fixture(scope="module")
def verdicts() -> Iterator[Mapping[str, Future[GateResult]]]:
    """Return the verdict on each fault; a process on every core tries one after the other."""
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
    met = verdicts[case.fault].result()
    if case.fault == NEW_SEEDS:
        assert met.passed, f"{met.gate}: {met.reason}"
        met = confirming()
    assert_refused(case, case.cpu, met)


def test_the_honest_form_of_the_same_source_passes_every_gate(verdicts: Mapping[str, Future[GateResult]]) -> None:
    met = verdicts[HONEST.fault].result()
    assert met.passed, f"{met.gate}: {met.reason}"


def known_seeds() -> tuple[int, ...]:
    """Seeds on which the kernel that is wrong on new ones is right."""
    return unsuspicious_seeds(KERNEL, named_workload(KERNEL, "small"), TILES["cpu"], 3)


def confirming() -> GateResult:
    """Check a kernel that has passed every gate on new seeds."""
    measurer = Measurer(FOLDER, one_core())
    candidate = build_fault(KERNEL, NEW_SEEDS, "cpu", "cpu", "small")
    try:
        return confirmed(measurer, candidate, "cpu", telling_seeds(KERNEL, named_workload(KERNEL, "small"), 1))
    finally:
        measurer.close()
